"""Where memory runs out: smaller parts, then the CPU, with one line of log; at last an error that says how much."""

from __future__ import annotations

import copy
from pathlib import Path

import cv2
import pytest
import torch

from t2c_core.cli import main as cli
from t2c_core.errors import InputError
from t2c_core.flow.network import FlowNetwork, network_flow
from t2c_core.memory import copy_on_cpu, first_that_fits, is_out_of_memory, memory_error, while_memory_lasts
from t2c_core.networks.motion_direction import MotionDirection
from t2c_core.segment.models import load as segmenters
from t2c_core.segment.models.postprocess import predict
from t2c_core.twin import diffusers_folder, tokenizer
from t2c_core.twin.generate import generate_twins
from t2c_core.twin.load import load_models
from t2c_core.twin.prompts import TwinPrompts
from t2c_core.twin.settings import TwinSettings
from tests.core import tiny_segmenters as tiny
from tests.core.tiny_checkpoints import checkpoint

FULL = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has 1 GiB.\nMore follows.")
CPU = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1048576 bytes. Error code 12"


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (FULL, "2.50 GiB more memory than is free."),
        (RuntimeError(CPU), "1048576 bytes more memory"),
        (MemoryError("Unable to allocate 8.00 TiB for an array with shape (1,)"), "8.00 TiB more memory"),
        (
            cv2.error("(-4:Insufficient memory) Failed to allocate 512 bytes in function 'OutOfMemoryError'"),
            "512 bytes",
        ),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), "more memory than is free (MPS backend"),
        (OSError(12, "Cannot allocate memory"), "more memory than is free (Cannot allocate memory)"),
        (MemoryError(), "more memory than is free (MemoryError)"),
    ],
)
def test_a_lack_of_memory_is_known_and_says_how_much(error, asked):
    assert is_out_of_memory(error)
    assert asked in str(memory_error("this", error))


@pytest.mark.parametrize("error", [None, ValueError("x"), OSError(13, "Permission denied"), memory_error("this", FULL)])
def test_other_errors_are_none(error):
    assert not is_out_of_memory(error)


def test_items_go_on_at_the_next_level(caplog):
    def run(level, done):
        for item in range(done, 6):
            if item >= 2 * level:
                raise FULL
            yield level, item

    found = list(while_memory_lasts((1, 2, 3), run, "counting"))
    assert found == [(1, 0), (1, 1), (2, 2), (2, 3), (3, 4), (3, 5)]
    assert [r.message[:14] for r in caplog.records] == ["Out of memory "]
    with pytest.raises(InputError, match=r"^image: counting needs 2\.50 GiB more memory than is free\. Make"):
        list(while_memory_lasts((1, 2), run, "counting", "image"))
    with pytest.raises(KeyError):
        first_that_fits((1, 2), lambda level: {}[level], "counting")


def test_a_copy_on_the_cpu_leaves_the_network_alone():
    network = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3)).half()
    network[1].requires_grad_(False)
    before = [(p.data_ptr(), p.dtype) for p in network.parameters()]
    made = copy_on_cpu(network)
    assert [(p.data_ptr(), p.dtype) for p in network.parameters()] == before
    assert {b.dtype for b in made.state_dict().values()} == {torch.float32, torch.int64}
    assert [p.requires_grad for p in made.parameters()] == [True, True, False, False]
    assert not {p.data_ptr() for p in made.parameters()} & {pointer for pointer, _ in before}
    assert made[0](torch.ones(2, 3)).shape == (2, 3)


def narrow(module: type[torch.nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no network of this class run but in float32, as if memory ran out where it is."""
    forward = module.forward

    def failing(self, *args, **options):
        if next(self.parameters()).dtype != torch.float32:
            raise FULL
        return forward(self, *args, **options)

    monkeypatch.setattr(module, "forward", failing)


@pytest.mark.slow
def test_the_flow_network_goes_on_on_the_cpu(monkeypatch, caplog):
    torch.manual_seed(0)
    half = MotionDirection().eval().half()
    image, mask = torch.rand(1, 64, 64, 3), torch.ones(1, 64, 64)
    expected = network_flow(FlowNetwork(copy.deepcopy(half).float()), image, mask, angle=0.0)
    narrow(MotionDirection, monkeypatch)
    found = network_flow(FlowNetwork(half), image, mask, angle=0.0)
    assert torch.equal(found.velocity, expected.velocity)
    assert [r.message.split("): ")[1] for r in caplog.records] == [
        "the flow network goes on in smaller tiles, or else on the CPU."
    ]
    assert next(half.parameters()).dtype == torch.float16


@pytest.mark.slow
@pytest.mark.parametrize("name", tiny.BACKENDS)
def test_segmentation_goes_on_on_the_cpu(name, segmenter_folder, monkeypatch, caplog):
    model = segmenters.load_model(segmenter_folder(name))
    image, words = tiny.scene(64, 64), ", ".join(tiny.WORDS)
    half = copy.deepcopy(model).bfloat16()
    expected = predict(copy.deepcopy(half).float(), image, words)
    original = type(half).pixels

    def full(self, image):
        if next(self.network.parameters()).dtype != torch.float32:
            raise FULL
        return original(self, image)

    monkeypatch.setattr(type(half), "pixels", full)
    found = predict(half, image, words)
    assert found.labels == expected.labels and torch.equal(found.maps, expected.maps)
    # transformers has remarks of its own on some configurations.
    assert [record.name for record in caplog.records if not record.name.startswith("transformers")] == [
        "t2c_core.memory"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("part", ["unet", "vae"])
def test_twins_are_painted_on_the_cpu(part, tmp_path, monkeypatch, caplog):
    models = load_models(checkpoint("sd1", tmp_path))
    caplog.clear()
    prompts, settings = TwinPrompts("a river, by Monet"), TwinSettings(steps=2)
    expected = generate_twins(models, prompts, settings, size=(64, 64))
    module = getattr(models, part).bfloat16()
    method = "forward" if part == "unet" else "decode"
    original = getattr(type(module), method)

    def full(self, *args, **options):
        if self.dtype != torch.float32:
            raise FULL
        return original(self, *args, **options)

    monkeypatch.setattr(type(module), method, full)
    found = generate_twins(models, prompts, settings, size=(64, 64))
    assert (found.artistic - expected.artistic).abs().max() < 0.05
    assert len(caplog.records) == 1 and module.dtype == torch.bfloat16


def test_a_full_memory_is_no_damaged_file(segmenter_folder, tmp_path, monkeypatch):
    import transformers

    def full(*args, **options):
        raise FULL

    folder = segmenter_folder("clipseg")
    monkeypatch.setattr(transformers.CLIPSegForImageSegmentation, "from_pretrained", full)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", full)
    monkeypatch.setattr(transformers.CLIPTokenizer, "from_pretrained", full)
    (tmp_path / "unet").mkdir()
    for file in ("vocab.json", "merges.txt"):
        (tmp_path / file).write_text("{}")
    with pytest.raises(torch.cuda.OutOfMemoryError):
        segmenters.load_model(folder)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        segmenters._read_tokenizer(folder, None)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        tokenizer.load_tokenizer(tmp_path, Path())
    with pytest.raises(torch.cuda.OutOfMemoryError):
        diffusers_folder.part(transformers.CLIPSegForImageSegmentation, tmp_path, "unet")


def test_files_that_may_not_be_read_are_not_called_wrong(segmenter_folder, tmp_path, monkeypatch):
    import transformers

    def denied(*args, **options):
        raise PermissionError(13, "Permission denied", "some file")

    kind = transformers.CLIPSegForImageSegmentation
    monkeypatch.setattr(kind, "from_pretrained", denied)
    (tmp_path / "unet").mkdir()
    for read in (
        lambda: segmenters.load_model(segmenter_folder("clipseg")),
        lambda: diffusers_folder.part(kind, tmp_path, "unet"),
    ):
        with pytest.raises(InputError, match=r"cannot be read \(Permission denied\)\.$"):
            read()


def test_latents_that_are_not_finite_blame_the_precision_only_where_it_was_lowered(tmp_path):
    models = load_models(checkpoint("sd1", tmp_path))
    with torch.no_grad():
        models.unet.conv_out.bias.fill_(torch.inf)
    prompts, settings = TwinPrompts("a river, by Monet"), TwinSettings(steps=2)
    with pytest.raises(InputError, match=r"^checkpoint: .* latents, in float32 too\.$"):
        generate_twins(models, prompts, settings, size=(64, 64))
    models.unet.bfloat16()
    with pytest.raises(InputError, match=r"^dtype: bfloat16: .* latents\. Try float32\.$"):
        generate_twins(models, prompts, settings, size=(64, 64))


def test_the_command_line_says_it_in_a_sentence(monkeypatch, capsys):
    def full(arguments):
        raise RuntimeError(CPU)

    monkeypatch.setattr(cli, "parse_arguments", full)
    assert cli.main(["animate"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "this needs 1048576 bytes more memory than is free." in said
