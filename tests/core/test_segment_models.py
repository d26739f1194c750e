"""Segmentation models of transformers: every backend on a tiny network that really sees, every bad folder's words."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from t2c_core import cli_animate
from t2c_core.__main__ import main
from t2c_core.errors import InputError
from t2c_core.prompt.kinds import KINDS, family_of
from t2c_core.segment.models.base import Scores
from t2c_core.segment.models.convert import convert_bin
from t2c_core.segment.models.families import Family, network_class
from t2c_core.segment.models.find import regions_of, score, settled
from t2c_core.segment.models.folder import find_folders, no_folder
from t2c_core.segment.models.load import load_model
from t2c_core.segment.models.prepare import prepared, read_preparation, unpadded
from t2c_core.segment.overlay import colour_of, regions_overlay
from t2c_core.segment.regions import owners, union, within
from t2c_core.types import FluidRegion, FluidRegions, WarpPlan
from tests.core import tiny_segmenters as tiny

BACKENDS = {
    "segformer": tiny.segformer,
    "upernet": tiny.upernet,
    "mask2former": tiny.mask2former,
    "maskformer": tiny.maskformer,
    "oneformer": tiny.oneformer,
    "eomt": tiny.eomt,
    "clipseg": tiny.clipseg,
    "grounding_sam": lambda folder: tiny.grounding(folder, "sam"),
    "grounding_sam2": lambda folder: tiny.grounding(folder, "sam2"),
    "sam3": tiny.sam3,
}
NEEDS = {"eomt": "EomtConfig", "grounding_sam2": "Sam2Config", "sam3": "Sam3Config"}
CLASSES = ("segformer", "upernet", "mask2former", "maskformer", "oneformer", "eomt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``folder(name)``: a folder of the backend's tiny network, made once; not to be changed."""
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        import transformers

        if name in NEEDS and not hasattr(transformers, NEEDS[name]):
            pytest.skip(f"transformers {transformers.__version__} has no {NEEDS[name]}")
        if name not in made:
            path = tmp_path_factory.mktemp("segmentation") / name
            path.mkdir()
            made[name] = BACKENDS[name](path)
        return made[name]

    return get


@pytest.fixture
def copy(folder: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """``copy(name)``: such a folder to damage."""
    return lambda name: Path(shutil.copytree(folder(name), tmp_path / name))


def overlap(mask: torch.Tensor, there: np.ndarray) -> float:
    """Intersection over union."""
    found = mask.numpy() > 0.5
    return float((found & there).sum() / max((found | there).sum(), 1))


@pytest.mark.parametrize("size", [(64, 64), (150, 200)], ids=str)
@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_finds_what_is_there(name: str, size: tuple[int, int], folder: Any) -> None:
    picture, truth = tiny.scene(*size), tiny.truth(*size)
    steps = []
    model = load_model(folder(name))
    words = "clouds, ocean, falls" if name in CLASSES else ", ".join(tiny.WORDS)
    found = score(model, picture, words, step=lambda done, total: steps.append((done, total)))
    regions = regions_of(found, picture)
    assert set(regions.labels) == {"sky", "sea", "waterfall"}
    for region in regions.regions:
        assert region.mask.shape == size
        assert 0.5 <= region.score <= 1.0
        assert overlap(region.mask, truth == tiny.ASKED[tiny.WORDS.index(region.label)]) > 0.88
    assert torch.stack([region.mask for region in regions.regions]).sum(0).max() == 1.0
    assert steps and steps[-1][0] == steps[-1][1]


@pytest.mark.parametrize("name", ["segformer", "mask2former", "clipseg"])
def test_only_what_is_asked_for_is_found(name: str, folder: Any) -> None:
    picture = tiny.scene(96, 96)
    regions = regions_of(score(load_model(folder(name)), picture, "waterfall"), picture)
    assert regions.labels == ("waterfall",)


def test_a_fifth_query_that_proposes_nothing_changes_nothing(folder: Any) -> None:
    model = load_model(folder("oneformer"))
    found = score(model, tiny.scene(64, 64), "sky, water")
    assert found.exclusive and found.labels == ("sky", "sea", "waterfall")
    assert found.maps.sum(0).max() <= 1 + 1e-5
    assert {name for name, _ in found.seen} == {"sky", "sea", "waterfall, falls", "rock, stone"}


def test_the_same_network_as_in_transformers_own_pipeline(folder: Any) -> None:
    """Same picture at the network's size: probabilities are those of transformers' own code."""
    from transformers import SegformerForSemanticSegmentation

    path = folder("segformer")
    network = SegformerForSemanticSegmentation.from_pretrained(path).eval()
    picture = tiny.scene(tiny.SIDE, tiny.SIDE)
    with torch.no_grad():
        wanted = network(pixel_values=(picture.movedim(-1, 1) - 0.5) / 0.25).logits[0].softmax(0)
    found = score(load_model(path), picture, "sky, sea, rock")
    assert torch.allclose(found.maps, wanted[[1, 2, 3]], atol=1e-5)


def test_the_threshold_takes_more_or_less(folder: Any) -> None:
    found = Scores(("sea",), ("sea",), torch.linspace(0, 1, 16).repeat(16, 1)[None], True)
    picture = torch.zeros(1, 64, 64, 3)
    shares = [float(union(regions_of(found, picture, t)).mean()) for t in (0.3, 0.5, 0.7)]
    assert shares == pytest.approx([0.7, 0.5, 0.3], abs=0.05)
    with pytest.raises(InputError, match="threshold"):
        regions_of(found, picture, 1.0)


def test_classes_count_together_words_do_not() -> None:
    """0.4 river and 0.3 sea are water for certain; asked for one by one neither is."""
    maps = torch.stack([torch.full((8, 8), 0.4), torch.full((8, 8), 0.3)])
    picture = torch.zeros(1, 32, 32, 3)
    found = regions_of(Scores(("river", "sea"), ("river", "sea"), maps, True), picture)
    assert found.labels == ("river",) and found.regions[0].mask.mean() == 1
    with pytest.raises(InputError, match=r"threshold: of 0.5 leaves nothing.*pond 0.40"):
        regions_of(Scores(("river", "sea"), ("river", "sea"), maps, False, (("pond", 0.4),)), picture)


def test_water_gives_way_to_what_is_more_particular() -> None:
    maps = torch.zeros(2, 8, 8)
    maps[0] = 0.9
    maps[1, :, 4:] = 0.7
    found = regions_of(Scores(("water", "waterfall"), ("water", "fall"), maps, False), torch.zeros(1, 32, 32, 3))
    assert found.labels == ("water", "waterfall")
    assert found.regions[1].mask[:, 20:].mean() == 1 and found.regions[0].mask[:, :12].mean() == 1


def test_specks_of_one_water_in_another_are_chance() -> None:
    labels = ("sea", "river", "waterfall", "sky")
    winner = np.full((60, 100), -1)
    winner[20:, :] = 0
    winner[30:34, 10:14] = 1  # a speck
    winner[40:44, 40:44] = 2  # a small fall
    winner[:10, :], winner[2:6, 2:6] = 3, 1  # the sky, and a river of its own in it
    winner[20:40, 70:100] = 1  # a mouth
    found = settled(winner, labels)
    assert (found[30:34, 10:14] == 0).all() and (found != winner).sum() == 16
    assert settled(winner, ("sea", "flag", "waterfall", "sky")) is winner


def test_a_surer_detector_wins_where_shapes_overlap() -> None:
    maps = torch.full((2, 8, 8), 0.9)
    scores = Scores(("smoke", "cloud"), ("smoke", "cloud"), maps, False, (), (0.3, 0.6))
    found = regions_of(scores, torch.zeros(1, 32, 32, 3))
    assert [(r.label, r.score) for r in found.regions] == [("cloud", 0.6)]


def test_what_is_nowhere_costs_nothing_and_changes_nothing() -> None:
    maps = torch.zeros(3, 8, 8)
    maps[2, :, 4:] = 0.9
    scores = Scores(("lake", "river", "sea"), ("lake", "river", "sea"), maps, False, (), (0.1, 0.2, 0.7))
    found = regions_of(scores, torch.zeros(1, 32, 32, 3))
    assert [(region.label, region.score) for region in found.regions] == [("sea", 0.7)]
    with pytest.raises(InputError, match="leaves nothing"):
        regions_of(Scores(("lake",), ("lake",), maps[:1], True), torch.zeros(1, 32, 32, 3))


# Regions and their picture


def halves() -> FluidRegions:
    left = torch.zeros(20, 40)
    left[:, :18] = 1
    right = torch.zeros(20, 40)
    right[:, 22:] = 1
    return FluidRegions((FluidRegion("sky", "sky", 0.9, left), FluidRegion("sea", "ocean", 0.6, right)))


def test_regions_fill_the_mask_that_is_used() -> None:
    mask = torch.zeros(1, 20, 40)
    mask[:, 5:15, 10:40] = 0.25
    found = within(halves(), mask)
    assert found.labels == ("sky", "sea")
    assert torch.equal(union(found), mask)
    assert found.regions[0].mask[:, 20:].sum() == 0 and found.regions[1].mask[:, :20].sum() == 0
    mask[..., :22] = 0
    assert within(halves(), mask).labels == ("sea",)


def test_regions_of_another_size_and_none_are_refused() -> None:
    with pytest.raises(InputError, match=r"regions: are 40x20, the image 30x20"):
        owners(halves(), 20, 30)
    with pytest.raises(InputError, match="regions: hold nothing"):
        union(FluidRegions())
    with pytest.raises(InputError, match="of one size"):
        FluidRegions((*halves().regions, FluidRegion("x", "x", 1.0, torch.zeros(3, 3))))


def test_the_preview_tints_every_region_and_writes_on_it() -> None:
    picture = torch.full((1, 200, 300, 3), 0.5)
    left, right = torch.zeros(200, 300), torch.zeros(200, 300)
    left[:, :100], right[:, 200:] = 1, 1
    regions = FluidRegions((FluidRegion("sky", "sky", 0.9, left), FluidRegion("sea", "sea", 0.6, right)))
    shown = regions_overlay(picture, regions)
    assert shown.shape == picture.shape and shown.min() >= 0 and shown.max() <= 1
    assert torch.allclose(shown[0, 20, 150], torch.tensor([0.3] * 3))
    for x, label in ((50, "sky"), (250, "sea")):
        tint = 0.5 * 0.55 + torch.tensor(colour_of(label)) * 0.45
        assert torch.allclose(shown[0, 20, x], tint, atol=1e-5)
        written = (shown[0, 80:120, x - 40 : x + 40] - tint).abs().amax(-1) > 0.2
        assert 0.02 < written.float().mean() < 0.6
    assert colour_of("sky") != colour_of("sea") != colour_of("something else")
    assert (
        regions_overlay(picture[:, :8, :8], FluidRegions((FluidRegion("é", "é", 1.0, torch.ones(8, 8)),)))
        .isfinite()
        .all()
    )


def test_texts_of_the_preview_do_not_cover_each_other() -> None:
    """Three small regions side by side, each narrower than its text: every text is there in full."""
    masks = torch.zeros(3, 200, 300)
    for number, mask in enumerate(masks):
        mask[90:110, 120 + 20 * number : 140 + 20 * number] = 1
    regions = FluidRegions(tuple(FluidRegion("waterfall", "f", 0.5 + n / 10, mask) for n, mask in enumerate(masks)))
    frame = regions_overlay(torch.full((1, 200, 300, 3), 0.5), regions)[0]
    alone = [regions_overlay(torch.full((1, 200, 300, 3), 0.5), FluidRegions((r,)))[0] for r in regions.regions]
    dark = [int((shown.amax(-1) < 0.05).sum()) for shown in (frame, *alone)]
    assert dark[0] > 0.95 * sum(dark[1:]) > 0


@pytest.mark.parametrize("family", ["water", "sky", "smoke"])
def test_kinds_that_lie_side_by_side_differ_in_colour(family: str) -> None:
    kinds = [kind for kind in KINDS if family_of(kind) == family]
    colours = np.array([colour_of(kind) for kind in kinds])
    apart = np.abs(colours[:, None] - colours[None]).max(-1)[np.triu_indices(len(kinds), 1)]
    assert apart.min() > 0.08
    follow = np.abs(np.diff(colours, axis=0)).max(-1)
    assert follow.min() > 0.3


# How pictures are prepared

PROCESSORS = [
    ("SegformerImageProcessor", {"size": {"height": 48, "width": 80}}, True),
    ("Mask2FormerImageProcessor", {"size": {"shortest_edge": 60, "longest_edge": 120}, "size_divisor": 32}, False),
    ("OneFormerImageProcessor", {"size": {"shortest_edge": 60, "longest_edge": 70}}, False),
    ("GroundingDinoImageProcessor", {"size": {"shortest_edge": 60, "longest_edge": 200}}, False),
    ("ViTImageProcessor", {"size": {"height": 64, "width": 64}, "resample": 3}, True),
    ("BeitImageProcessor", {"size": {"height": 64, "width": 64}, "resample": 2, "do_center_crop": False}, True),
]


@pytest.mark.parametrize(("name", "given", "square"), PROCESSORS, ids=[p[0] for p in PROCESSORS])
def test_pictures_are_prepared_as_transformers_does(name: str, given: dict[str, Any], square: bool) -> None:
    import transformers

    kind = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
    extra = {"class_info_file": None, "num_text": None, "repo_path": None} if name.startswith("OneFormer") else {}
    try:
        processor = kind(**given, image_mean=tiny.MEAN, image_std=tiny.STD, **extra)
    except (ImportError, OSError, AttributeError, TypeError, ValueError) as error:
        pytest.skip(f"cannot be made here: {error}")
    pixels = np.random.default_rng(0).integers(0, 256, (100, 130, 3), np.uint8)
    how = {"task_inputs": ["semantic"]} if name.startswith("OneFormer") else {}
    wanted = processor(images=[pixels], return_tensors="pt", **how)["pixel_values"]
    settings = {**given, "image_mean": tiny.MEAN, "image_std": tiny.STD}
    picture = torch.from_numpy(pixels.astype(np.float32) / 255)[None]
    found, inner = prepared(picture, read_preparation(settings, square=square), torch.device("cpu"))
    assert found.shape[-2:] == inner == wanted.shape[-2:]
    # Theirs rounds to 8 bit in between.
    assert (found - wanted).abs().mean() < 0.02 and (found - wanted).abs().max() < 0.1


def test_numbers_flips_and_unscaled_values() -> None:
    red = torch.zeros(1, 10, 20, 3)
    red[..., 0] = 1.0
    plain = {"do_normalize": False, "size": 8}
    found, _ = prepared(red, read_preparation(plain, square=True), torch.device("cpu"))
    assert found.shape == (1, 3, 8, 8) and found[0, :, 4, 4].tolist() == pytest.approx([1, 0, 0])
    found, _ = prepared(
        red, read_preparation({**plain, "do_flip_channel_order": True}, square=False), torch.device("cpu")
    )
    assert found.shape == (1, 3, 8, 16) and found[0, :, 4, 4].tolist() == pytest.approx([0, 0, 1])
    found, _ = prepared(red, read_preparation({**plain, "do_rescale": False}, square=True), torch.device("cpu"))
    assert found.max() == pytest.approx(255)


def test_values_are_normalised_where_the_settings_say_so() -> None:
    def seen(**settings: Any) -> float:
        how = read_preparation({"size": 8, **settings}, square=True)
        return float(prepared(torch.full((1, 8, 8, 3), 0.5), how, torch.device("cpu"))[0][0, 0, 0, 0])

    assert seen() == pytest.approx(0.5), "MobileViT's"
    assert seen(image_mean=[0.25] * 3, image_std=[0.125] * 3) == pytest.approx(2.0)
    assert seen(image_mean=[0.25] * 3, image_std=[0.5] * 3, do_normalize=False) == pytest.approx(0.5)
    assert seen(do_normalize=True) == pytest.approx((0.5 - 0.485) / 0.229)


def test_sizes_that_older_files_say_elsewhere_or_not_at_all() -> None:
    def size(settings: dict[str, Any], square: bool = False) -> tuple[int, int]:
        return read_preparation(settings, square=square).size(1000, 4000)

    assert size({"size": 512, "max_size": 1024}) == size({"size": {"shortest_edge": 512}, "max_size": 1024})
    assert size({"size": {"shortest_edge": 512}, "max_size": 1024}) == (256, 1024)
    assert size({"size": {"shortest_edge": 512, "longest_edge": 2048}, "max_size": 9}) == (512, 2048)
    assert size({}) == (333, 1333) and size({}, square=True) == (512, 512), "never the whole of a large picture"
    assert size({"do_resize": False}) == (1000, 4000)
    how = read_preparation({"rescale_factor": 1 / 127.5, "size": 8, "do_normalize": False}, square=True)
    assert prepared(torch.ones(1, 8, 8, 3), how, torch.device("cpu"))[0].mean() == pytest.approx(2.0)


def test_padding_is_taken_off_where_it_is() -> None:
    how = read_preparation({}, square=True, longest=64, pad_to=64)
    values, inner = prepared(torch.rand(1, 30, 80, 3), how, torch.device("cpu"))
    assert inner == (24, 64) and values.shape == (1, 3, 64, 64) and (values[:, :, 24:] == 0).all()
    y = torch.arange(16.0)[:, None].expand(16, 16)[None]
    part = unpadded(y, how, inner)
    assert part.shape == (1, 6, 16)
    assert part[0, :, 0].tolist() == pytest.approx(list(range(6)), abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"image_mean": [0.5] * 3, "image_std": [0.0, 1, 1]}, "image_mean and image_std"),
        ({"image_mean": [float("nan")] * 3}, "image_mean and image_std"),
        ({"size": {"height": 100_000, "width": 5}}, "asks for pictures of"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_preparation(settings, square=True)


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
def test_a_bad_folder_is_refused_in_words_of_its_own(name: str, copy: Any) -> None:
    backend, damage, said = BAD[name]
    path = copy(backend)
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
        network_class(Family("dense", "Nothing9Model", "9.9"))


def test_sam_alone_reads_no_words(folder: Any) -> None:
    with pytest.raises(InputError, match="is a SAM model: it draws shapes in boxes, but reads no words"):
        load_model(folder("grounding_sam") / "sam")


def test_folders_are_found_and_sam_is_left_to_grounding_dino(folder: Any, tmp_path: Path) -> None:
    for name in ("segformer", "clipseg"):
        shutil.copytree(folder(name), tmp_path / name)
    shutil.copytree(folder("grounding_sam") / "sam", tmp_path / "a_sam")
    detector = shutil.copytree(folder("grounding_sam"), tmp_path / "finder")
    shutil.rmtree(detector / "sam")
    (tmp_path / "empty").mkdir()
    assert list(find_folders([tmp_path, tmp_path / "nowhere"])) == ["clipseg", "finder", "segformer"]
    picture = tiny.scene(64, 64)
    regions = regions_of(score(load_model(detector), picture, ", ".join(tiny.WORDS)), picture)
    assert set(regions.labels) == set(tiny.WORDS)


def test_a_program_in_the_folder_is_never_run(copy: Any, tmp_path: Path) -> None:
    path, ran = copy("segformer"), tmp_path / "ran"
    edit(path, auto_map={"AutoConfig": "own.Config", "AutoModelForSemanticSegmentation": "own.Model"})
    swap(path, "own.py", f"open({str(ran)!r}, 'w')\nclass Config: pass\nclass Model: pass\n")
    load_model(path)
    assert not ran.exists()


@pytest.mark.parametrize("name", ["segformer", "oneformer", "clipseg"])
def test_half_precision_in_several_files(name: str, copy: Any) -> None:
    path = copy(name)
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
    assert set(regions_of(score(model, tiny.scene(64, 64), words), tiny.scene(64, 64)).labels) == set(words.split(", "))


def test_settings_of_the_newer_file_name_are_read(copy: Any) -> None:
    path = copy("clipseg")
    settings = json.loads((path / "preprocessor_config.json").read_text())
    (path / "preprocessor_config.json").unlink()
    (path / "processor_config.json").write_text(json.dumps({"image_processor": settings, "processor_class": "x"}))
    assert load_model(path).how.height == tiny.SIDE


def test_a_pickle_becomes_half_as_large(tmp_path: Path, folder: Any) -> None:
    torch.save(load_file(folder("segformer") / "model.safetensors"), tmp_path / "model.bin")
    assert main(["convert", str(tmp_path / "model.bin"), str(tmp_path / "half.safetensors"), "--fp16"]) == 0
    assert {value.dtype for value in load_file(tmp_path / "half.safetensors").values()} <= {torch.float16, torch.int64}


def test_a_pickle_becomes_a_safetensors_file_and_its_program_is_not_run(copy: Any, tmp_path: Path) -> None:
    path = copy("segformer")
    torch.save(load_file(path / "model.safetensors"), path / "pytorch_model.bin")
    (path / "model.safetensors").unlink()
    assert main(["convert", str(path / "pytorch_model.bin"), str(path / "model.safetensors")]) == 0
    picture = tiny.scene(64, 64)
    assert regions_of(score(load_model(path), picture, "water"), picture).labels == ("sea", "waterfall")

    class Program:
        def __reduce__(self) -> Any:
            return (print, ("a program ran",))

    torch.save({"x": Program()}, tmp_path / "bad.bin")
    torch.save({}, tmp_path / "empty.bin")
    for name, said in (("bad.bin", "its program is not run"), ("empty.bin", "holds no weights"), ("no.bin", "exist")):
        with pytest.raises(InputError, match=said):
            convert_bin(tmp_path / name, tmp_path / "out.safetensors")
    with pytest.raises(InputError, match="must end in"):
        convert_bin(tmp_path / "empty.bin", tmp_path / "out.bin")
    assert not (tmp_path / "out.safetensors").exists()


def test_the_command_line_animates_kinds(folder: Any, tmp_path: Path, capsys: Any) -> None:
    from PIL import Image

    rough = np.random.default_rng(0).normal(0, 5, (96, 128, 1))
    picture = (tiny.scene(96, 128)[0].numpy() * 255 + rough).round().clip(0, 255).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "scene.png")
    command = ["animate", str(tmp_path / "scene.png"), "--model", str(folder("segformer")), "--frames", "4"]
    command += ["-o", str(tmp_path / "out.png"), "--format", "apng"]
    assert main([*command, "--vocabulary", "sky, water", "--direction", "clouds drifting to the left"]) == 0
    with Image.open(tmp_path / "out.png") as shown:
        frames = []
        for index in range(shown.n_frames):
            shown.seek(index)
            frames.append(np.asarray(shown.convert("RGB")).astype(int))
    truth = tiny.truth(96, 128)
    moved = np.ptp(np.stack(frames), axis=0).max(-1)
    assert (moved[truth == tiny.ROCK] > 0).mean() < 0.05
    assert all((moved[truth == kind] > 0).mean() > 0.1 for kind in tiny.ASKED)
    assert main([*command, "--direction", "slowly"]) == 0
    assert main([*command, "--mask", str(tmp_path / "scene.png")]) == 2
    assert "mask: and model both say what moves" in capsys.readouterr().err
    capsys.readouterr()
    assert main([*command, "--vocabulary", "smoke"]) == 2
    assert main(["animate", str(tmp_path / "scene.png"), "--model", str(tmp_path / "no"), *command[4:]]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert [line.split(":")[1].strip() for line in said] == ["vocabulary", "segmentation_model"]


def test_the_command_line_knows_lengths_and_takes_strokes(folder: Any, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray((tiny.scene(96, 128)[0].numpy() * 255).round().astype(np.uint8)).save(tmp_path / "scene.png")
    strokes = [{"points": [[0.55, 0.1], [0.95, 0.1]], "radius": 0.02, "mode": "move"}]
    (tmp_path / "hints.json").write_text(json.dumps({"version": 1, "strokes": strokes}))
    command = ["animate", str(tmp_path / "scene.png"), "--model", str(folder("segformer")), "-o", "out.png"]
    command += ["--hints", str(tmp_path / "hints.json"), "--feather", "0", "--vocabulary"]

    def plan(*more: str) -> WarpPlan:
        parser = argparse.ArgumentParser()
        cli_animate.add_parser(parser.add_subparsers())
        return cli_animate.plan_from_arguments(parser.parse_args([*command, *more]))

    fall, sea = plan("waterfall"), plan("sea, falls")
    assert (fall.frames, sea.frames, plan("sea", "--frames", "7").frames) == (60, 120, 7)
    mask = fall.flow.mask[0].numpy() > 0.5
    assert mask[10, 72:120].all() and not mask[40, 66:76].any(), "the stroke moves, the rock around it does not"
    assert np.hypot(*fall.flow.velocity[0, :, 10, 90].numpy()) > 0


def test_the_detector_in_a_video_model_is_taken(copy: Any) -> None:
    """SAM 3 is published as a model for videos, with a detector and a tracker in it; SAM 2 likewise."""
    path = copy("sam3")
    config = json.loads((path / "config.json").read_text())
    swap(
        path,
        "config.json",
        json.dumps({"model_type": "sam3_video", "architectures": ["Sam3VideoModel"], "detector_config": config}),
    )
    state = {f"detector_model.{key}": value for key, value in load_file(path / "model.safetensors").items()}
    save_file({**state, "tracker_model.x": torch.zeros(3)}, path / "model.safetensors", metadata={"format": "pt"})
    picture = tiny.scene(64, 64)
    assert set(regions_of(score(load_model(path), picture, ", ".join(tiny.WORDS)), picture).labels) == set(tiny.WORDS)
    path = copy("grounding_sam2")
    edit(path / "sam2", model_type="sam2_video", architectures=["Sam2VideoModel"])
    assert set(regions_of(score(load_model(path), picture, ", ".join(tiny.WORDS)), picture).labels) == set(tiny.WORDS)


def test_stopping_leaves_at_once(folder: Any) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        score(load_model(folder("clipseg")), tiny.scene(64, 64), "sky, sea, waterfall, lake, fire, smoke", step=stop)
