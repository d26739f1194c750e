"""Files that are cut off, altered or made to do harm: InputError or their content, and no memory beyond their size."""

from __future__ import annotations

import random
import warnings
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from t2c_core.errors import InputError
from t2c_core.io.files import read_json
from t2c_core.io.weights import read_weights

resource = pytest.importorskip("resource", reason="memory is measured on Unix")
TENSORS = {"a.weight": torch.arange(64.0).reshape(8, 8), "b": torch.ones(3, dtype=torch.half), "n": torch.tensor(7)}


def whole(path):
    if path.suffix == ".safetensors":
        save_file(TENSORS, path)
    else:
        torch.save({"state_dict": TENSORS, "epoch": 3}, path, _use_new_zipfile_serialization=path.suffix != ".pt")
    return path.read_bytes()


def damaged(content, count, seed):
    """Cut off, with bits turned over, and with a piece of random bytes: ``count`` of each."""
    rng = random.Random(seed)
    for _ in range(count):
        yield content[: rng.randrange(len(content))]
        altered = bytearray(content)
        for _ in range(rng.choice((1, 1, 8))):
            altered[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        yield bytes(altered)
        start, length = rng.randrange(len(content)), rng.randrange(1, 16)
        yield content[:start] + rng.randbytes(length) + content[start + length :]


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])  # zip, torch's older format, safetensors
def test_damaged_checkpoints_are_read_or_refused(tmp_path, suffix):
    """Of 900 each, torch's readers raised IndexError, AssertionError, AttributeError, TypeError and others."""
    path, outcomes = tmp_path / f"model{suffix}", [0, 0]
    content = whole(path)
    assert {key: value.tolist() for key, value in read_weights(path).items()} == {
        key: value.tolist() for key, value in TENSORS.items()
    }
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for altered in damaged(content, 300, suffix):
            path.write_bytes(altered)
            try:
                weights = read_weights(path)
            except InputError as error:
                outcomes[0] += 1
                assert path.name in str(error) and len(str(error)) < 1000
            else:
                outcomes[1] += 1
                assert all(isinstance(value, torch.Tensor) for value in weights.values())
    assert sum(outcomes) == 900 and outcomes[0] > 300
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize("shape", [(10**6, 10**6), (10**9,)])
@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_a_number_repeated_into_a_huge_tensor_is_refused(tmp_path, shape, suffix):
    path = tmp_path / f"model{suffix}"
    torch.save({"a": torch.ones(1).expand(shape)}, path, _use_new_zipfile_serialization=suffix != ".pt")
    with pytest.raises(InputError, match="times its size"):
        read_weights(path)


@pytest.mark.parametrize("kind", ["meta", "sparse"])
def test_tensors_without_all_their_numbers_are_refused(tmp_path, kind):
    shape = 10**6, 10**6
    meta = kind == "meta"
    tensor = torch.empty(shape, device="meta") if meta else torch.zeros(2, 2).to_sparse().sparse_resize_(shape, 2, 0)
    torch.save({"a": tensor}, tmp_path / "model.pth")
    with pytest.raises(InputError, match="a is no plain tensor"):
        read_weights(tmp_path / "model.pth")


def test_a_compressed_gigabyte_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "model.pth"
    whole(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("model/data/9", "w") as record:
        for _ in range(256):
            record.write(bytes(2**22))
    assert path.stat().st_size < 2**21
    with pytest.raises(InputError, match=r"1 GiB, over 8 times its size"):
        read_weights(path)


def test_tensors_that_share_their_numbers_are_read(tmp_path):
    tied = torch.randn(64, 64)
    torch.save({"head": tied, "embedding": tied, "turned": tied.T}, tmp_path / "model.pth")
    assert torch.equal(read_weights(tmp_path / "model.pth")["turned"], tied.T)


def test_settings_nested_without_end_are_no_valid_json(tmp_path):
    (tmp_path / "config.json").write_text("[" * 10**6)
    with pytest.raises(InputError, match="no valid JSON"):
        read_json(tmp_path / "config.json", "model")
