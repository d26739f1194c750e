"""The files of a model's folder: what is there, what is missing, and in words what to put where."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...errors import InputError, first_line
from ...io.files import read_json
from .families import BOX_SEGMENTERS, EXAMPLES, Family
from .labels import INPUT

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
PREPARATION = ("preprocessor_config.json", "processor_config.json")
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("vocab.txt",))
_TOKENIZER = " or ".join(" and ".join(files) for files in TOKENIZERS)


def find_folders(roots: Iterable[Path]) -> dict[str, Path]:
    """{name: folder} of all folders with a config.json right below the roots, by name; of equal names the first root's.

    Folders of SAM are left out: they read no words and are found by Grounding DINO.
    """
    found: dict[str, Path] = {}
    for root in roots:
        for file in sorted(root.glob(f"*/{CONFIG}")) if root.is_dir() else ():
            found.setdefault(file.parent.name, file.parent)
    return {name: path for name, path in sorted(found.items()) if _model_type(path) not in BOX_SEGMENTERS}


def no_folder(name: str, root: Path) -> InputError:
    """What to put where, for a model that is not there."""
    target = root / (name or "<any name>")
    problem = f"'{name}' is not in {root}." if name else f"is not chosen: there is no model in {root}."
    return InputError(
        INPUT,
        problem,
        f"Make the folder {target} and put {CONFIG}, {WEIGHTS} and {PREPARATION[0]} of a segmentation model into it, "
        f"for models that read words (OneFormer, CLIPSeg, Grounding DINO, SAM 3) {_TOKENIZER} too; "
        f"then press R in the page. For example from huggingface.co: {EXAMPLES}.",
    )


def _model_type(path: Path) -> str | None:
    try:
        return read_json(path / CONFIG, INPUT).get("model_type")
    except InputError:
        return None


def read_config(path: Path) -> dict[str, Any]:
    """config.json of a folder. Raises InputError that names what is missing, and where it belongs."""
    if not path.is_dir():
        raise no_folder(path.name, path.parent)
    if not (path / CONFIG).is_file():
        remedy = f"Put {CONFIG}, {WEIGHTS} and {PREPARATION[0]} into {path}."
        raise InputError(INPUT, f"'{path.name}' has no {CONFIG}.", remedy)
    config = read_json(path / CONFIG, INPUT)
    fetched = config.get("backbone")
    if isinstance(fetched, str) and not config.get("backbone_config"):
        problem = f"'{path.name}' leaves its backbone '{fetched}' to be fetched, and nothing is downloaded here."
        raise InputError(INPUT, problem, f"Use a model whose {CONFIG} has a backbone_config.")
    return config


def check_files(path: Path, family: Family) -> None:
    """Raise InputError for the first of the weights, the preparation and the tokenizer that is not there."""
    _check_weights(path)
    there = {file.name for file in path.iterdir() if file.is_file()}
    if there.isdisjoint(PREPARATION):
        problem = f"'{path.name}' has no {PREPARATION[0]}: nothing says how it wants images."
        raise InputError(INPUT, problem, f"Put it into {path}; it lies beside the model's {CONFIG}.")
    if family.words and not any(there.issuperset(files) for files in TOKENIZERS):
        problem = f"'{path.name}' has no tokenizer, and it reads words."
        raise InputError(INPUT, problem, f"Put its {_TOKENIZER} into {path}.")


def _check_weights(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    files = [path / WEIGHTS]
    if not files[0].is_file() and (path / INDEX).is_file():
        listed = read_json(path / INDEX, INPUT).get("weight_map")
        files = [path / name for name in sorted(set(listed.values()))] if isinstance(listed, dict) else []
    missing = [file.name for file in files if not file.is_file()]
    if missing or not files:
        pickles = [file.name for file in sorted(path.glob("*.bin"))]
        if pickles and missing == [WEIGHTS]:
            raise InputError(
                INPUT,
                f"'{path.name}' has its weights as {pickles[0]}, which can hold a program and is not read.",
                f"Put the same model's {WEIGHTS} into {path}, or make it, in this pack's folder: "
                f'python -m t2c_core convert "{path / pickles[0]}" "{path / WEIGHTS}".',
            )
        others = [file.name for file in sorted(path.glob("*.safetensors"))]
        if others and missing == [WEIGHTS]:
            remedy = f"If {others[0]} holds all of the model's weights, rename it to {WEIGHTS}; else get {WEIGHTS}."
            raise InputError(INPUT, f"'{path.name}' has no {WEIGHTS}, but {', '.join(others)}.", remedy)
        remedy = f"Put {'it' if len(missing) < 2 else 'them'} into {path}."
        raise InputError(INPUT, f"'{path.name}' has no {', '.join(missing) or 'weights'}.", remedy)
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                opened.keys()
        except OSError as error:
            problem = f"'{path.name}/{file.name}' cannot be read ({first_line(error)})."
            raise InputError(INPUT, problem) from error
        except (SafetensorError, ValueError) as error:
            problem = f"'{path.name}/{file.name}' is damaged or cut off ({error})."
            raise InputError(INPUT, problem, "Get the file again.") from error


def read_preprocessor(path: Path) -> dict[str, Any]:
    """The settings of a folder's image processor, from whichever of the two files has them."""
    for name in PREPARATION:
        if (path / name).is_file():
            found = read_json(path / name, INPUT)
            return found.get("image_processor", found) if name == PREPARATION[1] else found
    return {}


def box_segmenter_folder(path: Path) -> Path:
    """The folder of the SAM or SAM 2 model for a Grounding DINO in ``path``: one in it, else the first beside it.

    Raises InputError if there is none.
    """
    inside = [file.parent for file in sorted(path.glob(f"*/{CONFIG}"))]
    beside = [file.parent for file in sorted(path.parent.glob(f"*/{CONFIG}")) if file.parent != path]
    for folder in (*inside, *beside):
        if _model_type(folder) in BOX_SEGMENTERS:
            return folder
    raise InputError(
        INPUT,
        f"'{path.name}' finds boxes; a SAM or SAM 2 model for the shapes in them is missing.",
        f"Make the folder {path / 'sam'} and put {CONFIG}, {WEIGHTS} and {PREPARATION[0]} of one into it, for example "
        "of facebook/sam-vit-base or facebook/sam2.1-hiera-tiny from huggingface.co.",
    )
