"""From a folder to a backend, whole or not at all.

transformers fills weights a file lacks with random numbers and a warning; here that is an error. Nothing is downloaded,
no code from the folder is run, no pickle is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

from ...errors import InputError, first_line
from ...io.weights import check_complete
from ...memory import reading
from . import scoring
from .base import SegmentationModel
from .families import BOX_SEGMENTERS, FAMILIES, Family, family_of, network_class
from .folder import box_segmenter_folder, check_files, read_config, read_preprocessor
from .labels import INPUT
from .preprocess import parse_preprocessor


def load_model(path: Path, families: Mapping[str, Family] = FAMILIES) -> SegmentationModel:
    """The model in a folder, float32, in evaluation, on the CPU; of which family its config.json says.

    Raises InputError('segmentation_model') with a sentence of its own for a folder or a file that is missing, damaged,
    incomplete, of another architecture, or whose classes are not those of its weights.
    """
    config = read_config(path)
    family = family_of(config, path.name, families)
    check_files(path, family)
    labels = read_labels(config, path.name) if family.classes else {}
    network = read_network(path, family, len(labels))
    fixed: dict[str, Any] = {}
    if family.side:
        side = int(attrgetter(family.side)(network.config))
        fixed = {"height": None, "width": None, "shortest": None, "longest": side, "pad_to": side}
    preprocessor = parse_preprocessor(read_preprocessor(path), square=family.square, **fixed)
    tokenizer = _read_tokenizer(path, network.config) if family.words else None
    shapes = load_model(box_segmenter_folder(path), BOX_SEGMENTERS) if family.run is scoring.grounding else None
    return SegmentationModel(family.run, network, preprocessor, labels, tokenizer, shapes).eval()


def _read_tokenizer(folder: Path, config: Any) -> Any:
    """The tokenizer of a folder. Raises InputError for one that is damaged or not the network's."""
    from transformers import AutoTokenizer

    with reading(INPUT, f"'{folder.name}' has a tokenizer that cannot be read"):
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    known = config.text_config.vocab_size if hasattr(config, "text_config") else config.text_encoder_vocab_size
    if len(tokenizer) > known:
        problem = f"'{folder.name}' has a tokenizer of {len(tokenizer)} tokens, the network knows {known}."
        raise InputError(INPUT, problem, "Take the tokenizer's files from where config.json comes from.")
    return tokenizer


def read_labels(config: Mapping[str, Any], name: str) -> dict[int, str]:
    """{number: name} of a config.json's classes, 0 .. n - 1. Raises InputError if they cannot be told."""
    given, stated = config.get("id2label"), config.get("num_labels")
    given = given if isinstance(given, dict) else {}
    labels = {int(number): str(label) for number, label in given.items() if str(number).isdigit()}
    problem = ""
    if not given:
        problem = "does not name its classes: config.json has no id2label."
    elif sorted(labels) != list(range(len(given))):
        problem = f"numbers its {len(given)} classes with gaps (id2label in config.json)."
    elif all(re.fullmatch(r"LABEL_\d+", label) for label in labels.values()):
        problem = f"calls its classes {labels[0]} ...: nobody can tell what they are."
    elif isinstance(stated, int) and stated != len(labels):
        problem = f"has {stated} classes and names {len(labels)} (config.json)."
    if problem:
        raise InputError(INPUT, f"'{name}' {problem}", _ORIGINAL)
    return dict(sorted(labels.items()))


_ORIGINAL = "Take config.json from where the weights come from."


def read_network(path: Path, family: Family, classes: int) -> Any:
    """The network in a folder, complete and finite, float32, in evaluation. classes: how many config.json names, or 0.

    Raises InputError for anything else.
    """
    from safetensors import SafetensorError

    kind = network_class(family)
    # Settings that cannot be fail anywhere in the network's own code.
    with reading(INPUT, f"'{path.name}' cannot be built from its config.json", _ORIGINAL):
        try:
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
        except OSError as error:
            raise InputError(INPUT, f"'{path.name}' cannot be read ({first_line(error)}).") from error
    _check_shapes(path, network, report["mismatched_keys"], classes)
    check_complete(network, report["missing_keys"], INPUT, path.name)
    return network.float().eval().requires_grad_(False)


def _check_shapes(path: Path, network: Any, mismatched: Any, classes: int) -> None:
    """Raise InputError for weights of other shapes than config.json says, in its own words if the head is meant.

    mismatched: their names or, in some versions of transformers, tuples that begin with them.
    """
    if not mismatched:
        return
    names = sorted(entry[0] if isinstance(entry, tuple) else entry for entry in mismatched)
    in_files, built_as = _shapes_in(path), network.state_dict()
    wrong = [(key, in_files.get(key, ()), tuple(built_as[key].shape)) for key in names]
    # Of other classes the last layer alone; one more for 'no object' in networks that propose masks.
    trained = {file[0] - (built[0] - classes) for _, file, built in wrong if file and built}
    heads = all(built and built[0] - classes in (0, 1) and file[1:] == built[1:] for _, file, built in wrong)
    if classes and heads and len(trained) == 1:
        problem = f"names {classes} classes in config.json, its weights were trained for {trained.pop()}."
    else:
        key, file, built = wrong[0]
        differs = f"{key} is {list(file)}, not {list(built)}"
        problem = f"has a config.json of another network than its weights: {differs}."
    raise InputError(INPUT, f"'{path.name}' {problem}", _ORIGINAL)


def _shapes_in(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of all weights in a folder's .safetensors files."""
    from safetensors import safe_open

    found: dict[str, tuple[int, ...]] = {}
    for file in sorted(path.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            names = opened.keys()
            found |= {name: tuple(opened.get_slice(name).get_shape()) for name in names}
    return found
