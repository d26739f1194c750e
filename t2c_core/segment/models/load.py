"""From a folder to a backend, whole or not at all.

transformers fills weights a file lacks with random numbers and a warning; here that is an error. Nothing is downloaded,
no code from the folder is run, no pickle is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ...errors import InputError
from .base import Model
from .clipseg import ClipSeg
from .dense import Dense
from .families import SHAPES, Family, family_of, network_class
from .folder import check_files, read_config, read_preprocessor, shapes_folder
from .grounding import Grounding
from .names import INPUT
from .prepare import Preparation, read_preparation
from .queries import Queries
from .sam3 import Sam3
from .texts import Tokenizer


def load_model(path: Path) -> Model:
    """The backend for the model in a folder, float32, in evaluation, on the CPU; which one its config.json says.

    Raises InputError('segmentation_model') with a sentence of its own for a folder or a file that is missing, damaged,
    incomplete, of another architecture, or whose classes are not those of its weights.
    """
    config = read_config(path)
    family = family_of(config, path.name)
    check_files(path, family)
    labels = read_labels(config, path.name) if family.classes else {}
    network = read_network(path, family, len(labels))
    if family.backend == "dense":
        return Dense(network, labels, _preparation(path, family)).eval()
    if family.backend == "queries":
        return _queries(path, family, network, labels).eval()
    if family.backend == "grounding":
        return _grounding(path, family, network).eval()
    tokenizer = Tokenizer(path, network.config.text_config.vocab_size)
    kind = ClipSeg if family.backend == "clipseg" else Sam3
    return kind(network, tokenizer, _preparation(path, family)).eval()


def _preparation(path: Path, family: Family, **fixed: Any) -> Preparation:
    return read_preparation(read_preprocessor(path), square=family.square, **fixed)


def _queries(path: Path, family: Family, network: torch.nn.Module, labels: dict[int, str]) -> Queries:
    if family.network.startswith("Eomt"):
        # Its positions are learned for one size; the published semantic ones cut wide pictures in windows instead.
        side = int(network.config.image_size)
        fixed = {"height": None, "width": None, "shortest": None, "longest": side, "pad_to": side}
        return Queries(network, labels, _preparation(path, family, **fixed))
    if not family.words:
        return Queries(network, labels, _preparation(path, family))
    tokenizer = Tokenizer(path, network.config.text_encoder_vocab_size)
    return Queries(network, labels, _preparation(path, family), tokenizer, network.config.task_seq_len)


def _grounding(path: Path, family: Family, network: torch.nn.Module) -> Grounding:
    other = shapes_folder(path)
    config = read_config(other)
    kind = family_of(config, other.name, SHAPES)
    check_files(other, kind)
    shapes = read_network(other, kind, 0)
    fixed = {}
    if kind.network == "SamModel":
        side = int(shapes.config.vision_config.image_size)
        fixed = {"height": None, "width": None, "shortest": None, "longest": side, "pad_to": side}
    tokenizer = Tokenizer(path, network.config.text_config.vocab_size)
    return Grounding(network, tokenizer, _preparation(path, family), shapes, _preparation(other, kind, **fixed))


def read_labels(config: Mapping[str, Any], name: str) -> dict[int, str]:
    """{number: name} of a config.json's classes, 0 .. n - 1. Raises InputError if they cannot be told."""
    given = config.get("id2label")
    if not isinstance(given, dict) or not given:
        raise InputError(INPUT, f"'{name}' does not name its classes: config.json has no id2label.", _ORIGINAL)
    labels = {int(number): str(label) for number, label in given.items() if str(number).isdigit()}
    if sorted(labels) != list(range(len(given))):
        raise InputError(
            INPUT, f"'{name}' numbers its {len(given)} classes with gaps (id2label in config.json).", _ORIGINAL
        )
    if all(re.fullmatch(r"LABEL_\d+", label) for label in labels.values()):
        raise InputError(
            INPUT, f"'{name}' calls its classes {labels[0]} ...: nobody can tell what they are.", _ORIGINAL
        )
    stated = config.get("num_labels")
    if isinstance(stated, int) and stated != len(labels):
        raise InputError(INPUT, f"'{name}' has {stated} classes and names {len(labels)} (config.json).", _ORIGINAL)
    return dict(sorted(labels.items()))


_COUNTED = re.compile(r"position_ids|num_batches_tracked|relative_(?:position_index|coords_table)|^criterion\.")
"""What a file may lack: numbers that follow from the network's shape, and those that only training asks for."""
_ORIGINAL = "Take config.json from where the weights come from."


def read_network(path: Path, family: Family, classes: int) -> torch.nn.Module:
    """The network in a folder, complete and finite, float32, in evaluation. classes: how many config.json names, or 0.

    Raises InputError for anything else.
    """
    from safetensors import SafetensorError

    kind = network_class(family)
    try:
        with _quiet():
            config = kind.config_class.from_pretrained(str(path), local_files_only=True)
            # Of old versions: would compile a CUDA kernel where it can.
            config.disable_custom_kernels = True
            network, report = kind.from_pretrained(
                str(path),
                config=config,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # told apart below
            )
    except SafetensorError as error:
        raise InputError(INPUT, f"'{path.name}' has damaged weights ({error}).", "Get the file again.") from error
    except Exception as error:  # settings that cannot be fail anywhere in the network's own code
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(INPUT, f"'{path.name}' cannot be built from its config.json ({said}).", _ORIGINAL) from error
    _check_shapes(path, network, report["mismatched_keys"], classes)
    missing = sorted(key for key in report["missing_keys"] if not _COUNTED.search(key))
    if missing:
        total, listed = len(network.state_dict()), ", ".join(missing[:4])
        problem = f"'{path.name}' is incomplete: {len(missing)} of {total} weights are missing ({listed})."
        raise InputError(INPUT, problem, "Get the file again; nothing is made up for them.")
    for key, value in network.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise InputError(INPUT, f"'{path.name}' contains NaN or infinite weights, for example in {key}.")
    return network.float().eval().requires_grad_(False)


def _check_shapes(path: Path, network: torch.nn.Module, mismatched: Any, classes: int) -> None:
    """Raise InputError for weights of other shapes than config.json says, in its own words if the head is meant.

    mismatched: their names or, as most versions of transformers tell, (name, shape in the file, shape in the network).
    """
    if not mismatched:
        return
    name, built_as = path.name, {key: tuple(value.shape) for key, value in network.state_dict().items()}
    in_files = {} if all(isinstance(entry, tuple) for entry in mismatched) else _shapes_in(path)
    wrong = []
    for entry in mismatched:
        key, file, built = entry if isinstance(entry, tuple) else (entry, in_files.get(entry, ()), built_as[entry])
        wrong.append((str(key), tuple(file), tuple(built)))
    wrong.sort()
    # Of other classes the last layer alone; one more for 'no object' in networks that propose masks.
    trained = {file[0] - (built[0] - classes) for _, file, built in wrong if file and built}
    heads = all(built and built[0] - classes in (0, 1) and file[1:] == built[1:] for _, file, built in wrong)
    if classes and heads and len(trained) == 1:
        raise InputError(
            INPUT,
            f"'{name}' names {classes} classes in config.json, its weights were trained for {trained.pop()}.",
            _ORIGINAL,
        )
    key, file, built = wrong[0]
    raise InputError(
        INPUT,
        f"'{name}' has a config.json of another network than its weights: {key} is {list(file)}, not {list(built)}.",
        _ORIGINAL,
    )


def _shapes_in(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of all weights in a folder's .safetensors files."""
    from safetensors import safe_open

    found: dict[str, tuple[int, ...]] = {}
    for file in sorted(path.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            names = opened.keys()
            found |= {name: tuple(opened.get_slice(name).get_shape()) for name in names}
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars and its warnings: what is wrong is said here, as an error."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
