"""Folders of segmentation models: which are taken, and the words in which a bad one is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from t2c_core.cli.main import main
from t2c_core.errors import InputError
from t2c_core.io.weights import convert_bin
from t2c_core.segment.models.families import Family, network_class
from t2c_core.segment.models.folder import find_folders, no_folder
from t2c_core.segment.models.load import load_model
from t2c_core.segment.models.postprocess import extract_regions, predict
from t2c_core.segment.models.scoring import dense
from tests.core import tiny_segmenters as tiny

# Folders that cannot be used


def edit(path: Path, **changes: Any) -> None:
    """Change config.json; None takes a key out."""
    config = json.loads((path / "config.json").read_text())
    config = {key: value for key, value in {**config, **changes}.items() if value is not None}
    (path / "config.json").write_text(json.dumps(config))


def weights(path: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    state = load_file(path / "model.safetensors")
    change(state)
    save_file(state, path / "model.safetensors", metadata={"format": "pt"})


def cut(path: Path) -> None:
    data = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(data[: len(data) // 2])


def only_pickle(path: Path) -> None:
    (path / "model.safetensors").rename(path / "pytorch_model.bin")


def swap(path: Path, name: str, text: str) -> None:
    (path / name).write_text(text)


def big_tokenizer(path: Path) -> None:
    vocabulary = json.loads((path / "vocab.json").read_text())
    more = {f"word{i}</w>": len(vocabulary) + i for i in range(9)}
    (path / "vocab.json").write_text(json.dumps({**vocabulary, **more}))


def other_width(path: Path) -> None:
    edit(path, decoder_hidden_size=40)


def shards(path: Path) -> None:
    (path / "model.safetensors").unlink()
    names = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (path / "model.safetensors.index.json").write_text(json.dumps(names))


FEW = {str(i): name for i, name in enumerate(tiny.LABELS[:4])}
BAD: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "no config": (
        "segformer",
        lambda p: (p / "config.json").unlink(),
        r"has no config\.json\. Put config\.json, model",
    ),
    "no json": ("segformer", lambda p: swap(p, "config.json", "{"), r"config\.json' is no valid JSON"),
    "a list": ("segformer", lambda p: swap(p, "config.json", "[]"), r"config\.json' holds no settings"),
    "no type": ("segformer", lambda p: edit(p, model_type=None), "without a model_type"),
    "foreign": ("segformer", lambda p: edit(p, model_type="bert"), "a 'bert' model, which makes no masks"),
    "other head": (
        "segformer",
        lambda p: edit(p, architectures=["SegformerForImageClassification"]),
        "is a SegformerForImageClassification; masks need a SegformerForSemanticSegmentation",
    ),
    "fetched": ("upernet", lambda p: edit(p, backbone="resnet50", backbone_config=None), "backbone 'resnet50' to be f"),
    "no weights": ("segformer", lambda p: (p / "model.safetensors").unlink(), r"has no model\.safetensors\. Put it"),
    "pickle": ("segformer", only_pickle, r"weights as pytorch_model\.bin, which can hold a program and is not read"),
    "no shards": ("segformer", shards, r"has no model-00001-of-00002\.safetensors, model-00002.*Put them"),
    "other name": (
        "segformer",
        lambda p: (p / "model.safetensors").rename(p / "model.fp16.safetensors"),
        r"has no model\.safetensors, but model\.fp16\.safetensors\..*rename it",
    ),
    "cut off": ("segformer", cut, r"model\.safetensors' is damaged or cut off"),
    "noise": ("segformer", lambda p: (p / "model.safetensors").write_bytes(b"\x07" * 999), "is damaged or cut off"),
    "part": (
        "segformer",
        lambda p: weights(p, lambda s: s.pop("decode_head.classifier.weight")),
        r"is incomplete: 1 of \d+ weights are missing \(decode_head\.classifier\.weight\)",
    ),
    "nothing": ("segformer", lambda p: weights(p, lambda s: s.clear()), r"is incomplete: \d{3} of \d{3} weights"),
    "nan": (
        "segformer",
        lambda p: weights(p, lambda s: s["decode_head.classifier.bias"].fill_(torch.nan)),
        "NaN or infinite weights, for example in decode_head.classifier.bias",
    ),
    "other network": ("segformer", other_width, "config.json of another network than its weights: decode_head"),
    "impossible": ("segformer", lambda p: edit(p, patch_sizes=[7]), "cannot be built from its config"),
    "other heads": (
        "segformer",
        lambda p: edit(p, num_attention_heads=[3, 3, 3, 3]),
        "config.json of another network than its weights|cannot be built from its config.json",
    ),
    "few labels": (
        "segformer",
        lambda p: edit(p, id2label=FEW, label2id=None),
        r"names 4 classes in config\.json, its weights were trained for 6",
    ),
    "few labels, proposals": (
        "mask2former",
        lambda p: edit(p, id2label=FEW, label2id=None),
        r"names 4 classes in config\.json, its weights were trained for 6",
    ),
    "counted labels": ("segformer", lambda p: edit(p, num_labels=150), "has 150 classes and names 6"),
    "no labels": ("segformer", lambda p: edit(p, id2label=None), "does not name its classes"),
    "gaps": ("segformer", lambda p: edit(p, id2label={"1": "sky", "2": "sea"}), "numbers its 2 classes with gaps"),
    "nameless": (
        "segformer",
        lambda p: edit(p, id2label={str(i): f"LABEL_{i}" for i in range(6)}),
        r"calls its classes LABEL_0 \.\.\.",
    ),
    "no preparation": (
        "segformer",
        lambda p: (p / "preprocessor_config.json").unlink(),
        r"has no preprocessor_config\.json: nothing says",
    ),
    "bad preparation": (
        "segformer",
        lambda p: swap(p, "preprocessor_config.json", "?"),
        "onfig.json' is no valid JSON",
    ),
    "no tokenizer": (
        "clipseg",
        lambda p: (p / "merges.txt").unlink(),
        r"has no tokenizer.*vocab\.json and merges\.txt",
    ),
    "no task tokenizer": ("oneformer", lambda p: (p / "vocab.json").unlink(), r"has no tokenizer, and it reads words"),
    "bad tokenizer": ("clipseg", lambda p: swap(p, "vocab.json", "{{"), "has a tokenizer that cannot be read"),
    "other tokenizer": ("clipseg", big_tokenizer, r"has a tokenizer of \d+ tokens, the network knows"),
    "no shapes": (
        "grounding_sam",
        lambda p: shutil.rmtree(p / "sam"),
        r"a SAM or SAM 2 model for the shapes in them is missing\. Make the folder .*sam and put",
    ),
    "shapes without weights": (
        "grounding_sam",
        lambda p: (p / "sam" / "model.safetensors").unlink(),
        r"'sam' has no model\.safetensors",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_folder_is_refused_in_words_of_its_own(name: str, segmenter_copy: Any) -> None:
    backend, damage, said = BAD[name]
    path = segmenter_copy(backend)
    damage(path)
    with pytest.raises(InputError, match=said) as caught:
        load_model(path)
    assert caught.value.input == "segmentation_model"


def test_a_missing_folder_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_model(tmp_path / "mine")
    said = str(caught.value)
    assert said.startswith(f"segmentation_model: 'mine' is not in {tmp_path}.")
    for part in (str(tmp_path / "mine"), "config.json", "model.safetensors", "preprocessor_config.json", "vocab.txt"):
        assert part in said
    assert "there is no model in" in str(no_folder("", tmp_path))


def test_an_older_transformers_is_told_apart_from_a_bad_folder() -> None:
    with pytest.raises(InputError, match=r"needs Nothing9Model, which transformers .* from version 9\.9 on"):
        network_class(Family(dense, "Nothing9Model", "9.9"))


def test_sam_alone_reads_no_words(segmenter_folder: Any) -> None:
    with pytest.raises(InputError, match="is a SAM model: it draws shapes in boxes, but reads no words"):
        load_model(segmenter_folder("grounding_sam") / "sam")


def test_folders_are_found_and_sam_is_left_to_grounding_dino(segmenter_folder: Any, tmp_path: Path) -> None:
    for name in ("segformer", "clipseg"):
        shutil.copytree(segmenter_folder(name), tmp_path / name)
    shutil.copytree(segmenter_folder("grounding_sam") / "sam", tmp_path / "a_sam")
    detector = shutil.copytree(segmenter_folder("grounding_sam"), tmp_path / "finder")
    shutil.rmtree(detector / "sam")
    (tmp_path / "empty").mkdir()
    assert list(find_folders([tmp_path, tmp_path / "nowhere"])) == ["clipseg", "finder", "segformer"]
    image = tiny.scene(64, 64)
    regions = extract_regions(predict(load_model(detector), image, ", ".join(tiny.WORDS)), image)
    assert set(regions.labels) == set(tiny.WORDS)


def test_a_program_in_the_folder_is_never_run(segmenter_copy: Any, tmp_path: Path) -> None:
    path, ran = segmenter_copy("segformer"), tmp_path / "ran"
    edit(path, auto_map={"AutoConfig": "own.Config", "AutoModelForSemanticSegmentation": "own.Model"})
    swap(path, "own.py", f"open({str(ran)!r}, 'w')\nclass Config: pass\nclass Model: pass\n")
    load_model(path)
    assert not ran.exists()


@pytest.mark.parametrize("name", ["segformer", "oneformer", "clipseg"])
def test_half_precision_in_several_files(name: str, segmenter_copy: Any) -> None:
    path = segmenter_copy(name)
    saved = load_file(path / "model.safetensors")
    (path / "model.safetensors").unlink()
    listed = {}
    for number, keys in enumerate((sorted(saved)[::2], sorted(saved)[1::2])):
        file = f"model-0000{number + 1}-of-00002.safetensors"
        half = {key: saved[key].half() if saved[key].is_floating_point() else saved[key] for key in keys}
        save_file(half, path / file, {"format": "pt"})
        listed |= dict.fromkeys(keys, file)
    (path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    model = load_model(path)
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    words = "sky, sea, waterfall"
    assert set(extract_regions(predict(model, tiny.scene(64, 64), words), tiny.scene(64, 64)).labels) == set(
        words.split(", ")
    )


def test_settings_of_the_newer_file_name_are_read(segmenter_copy: Any) -> None:
    path = segmenter_copy("clipseg")
    settings = json.loads((path / "preprocessor_config.json").read_text())
    (path / "preprocessor_config.json").unlink()
    (path / "processor_config.json").write_text(json.dumps({"image_processor": settings, "processor_class": "x"}))
    assert load_model(path).preprocessor.height == tiny.SIDE


def test_a_pickle_becomes_half_as_large(tmp_path: Path, segmenter_folder: Any) -> None:
    torch.save(load_file(segmenter_folder("segformer") / "model.safetensors"), tmp_path / "model.bin")
    assert main(["convert", str(tmp_path / "model.bin"), str(tmp_path / "half.safetensors"), "--fp16"]) == 0
    assert {value.dtype for value in load_file(tmp_path / "half.safetensors").values()} <= {torch.float16, torch.int64}


def test_a_pickle_becomes_a_safetensors_file_and_its_program_is_not_run(segmenter_copy: Any, tmp_path: Path) -> None:
    path = segmenter_copy("segformer")
    torch.save(load_file(path / "model.safetensors"), path / "pytorch_model.bin")
    (path / "model.safetensors").unlink()
    assert main(["convert", str(path / "pytorch_model.bin"), str(path / "model.safetensors")]) == 0
    image = tiny.scene(64, 64)
    assert extract_regions(predict(load_model(path), image, "water"), image).labels == ("sea", "waterfall")

    class Program:
        def __reduce__(self) -> Any:
            return (print, ("a program ran",))

    torch.save({"x": Program()}, tmp_path / "bad.bin")
    torch.save({}, tmp_path / "empty.bin")
    for name, said in (("bad.bin", "its program is not run"), ("empty.bin", "holds no weights"), ("no.bin", "exist")):
        with pytest.raises(InputError, match=said):
            convert_bin(tmp_path / name, tmp_path / "out.safetensors")
    with pytest.raises(InputError, match="must end in"):
        convert_bin(path / "pytorch_model.bin", tmp_path / "out.bin")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.slow
def test_the_detector_in_a_video_model_is_taken(segmenter_copy: Any) -> None:
    """SAM 3 is published as a model for videos, with a detector and a tracker in it; SAM 2 likewise."""
    path = segmenter_copy("sam3")
    config = json.loads((path / "config.json").read_text())
    swap(
        path,
        "config.json",
        json.dumps({"model_type": "sam3_video", "architectures": ["Sam3VideoModel"], "detector_config": config}),
    )
    state = {f"detector_model.{key}": value for key, value in load_file(path / "model.safetensors").items()}
    save_file({**state, "tracker_model.x": torch.zeros(3)}, path / "model.safetensors", metadata={"format": "pt"})
    image = tiny.scene(64, 64)
    assert set(extract_regions(predict(load_model(path), image, ", ".join(tiny.WORDS)), image).labels) == set(
        tiny.WORDS
    )
    path = segmenter_copy("grounding_sam2")
    edit(path / "sam2", model_type="sam2_video", architectures=["Sam2VideoModel"])
    assert set(extract_regions(predict(load_model(path), image, ", ".join(tiny.WORDS)), image).labels) == set(
        tiny.WORDS
    )
