from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.client import ComfyClient
from scripts.errors import ScriptError, ServerFailed
from scripts.job import fill_in, keep
from scripts.paths import REPO
from scripts.server import PACK_NAME, free_port, last_error, link_pack, pack_by_path, user_models


def test_link_pack_links_once_and_replaces_a_stale_link(tmp_path: Path) -> None:
    link = tmp_path / "custom_nodes" / PACK_NAME
    assert link_pack(tmp_path) == []
    assert link.resolve() == REPO
    link.unlink()
    link.symlink_to(tmp_path / "gone")
    assert link_pack(tmp_path) == []
    assert link.resolve() == REPO
    assert link_pack(tmp_path) == []
    link.unlink()
    link.mkdir()
    with pytest.raises(ScriptError, match="is in the way"):
        link_pack(tmp_path)


def test_pack_by_path_shuts_out_its_neighbours(tmp_path: Path) -> None:
    arguments = pack_by_path(tmp_path, tmp_path / 'a "b"' / "pack")
    assert arguments[-3:] == ["--disable-all-custom-nodes", "--whitelist-custom-nodes", "pack"]
    yaml = pytest.importorskip("yaml")
    named = yaml.safe_load(Path(arguments[1]).read_text())
    assert named == {"t2c": {"custom_nodes": str(tmp_path / 'a "b"')}}


def test_user_models_are_only_named(tmp_path: Path) -> None:
    (tmp_path / "c" / "models" / "vae").mkdir(parents=True)
    assert user_models(tmp_path, tmp_path / "nothing") == []
    option, file = user_models(tmp_path, tmp_path / "c")
    assert option == "--extra-model-paths-config"
    assert json.dumps(str(tmp_path / "c" / "models" / "vae")) in Path(file).read_text()


def test_last_error_prefers_the_error_over_what_follows_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_error(log) == ""
    log.write_text("a\nValueError: first\nb.c.OtherError: second.\nINFO: bye\n")
    assert last_error(log) == "b.c.OtherError: second"
    log.write_text("hello\nworld.\n\n")
    assert last_error(log) == "world"


def test_no_server(tmp_path: Path) -> None:
    client = ComfyClient(f"http://127.0.0.1:{free_port()}", tmp_path, tmp_path)
    assert not client.answers()
    with pytest.raises(ServerFailed, match="does not answer"):
        client.object_info()


def test_put_input_refuses_what_is_not_a_file(tmp_path: Path) -> None:
    client = ComfyClient("http://127.0.0.1:1", tmp_path, tmp_path)
    with pytest.raises(ScriptError, match="There is no file"):
        client.put_input(tmp_path / "none.jpg")
    (tmp_path / "a.txt").write_text("a")
    assert client.put_input(tmp_path / "a.txt", "b.txt") == "b.txt"
    assert (tmp_path / "input" / "b.txt").read_text() == "a"


def test_fill_in_sets_what_was_asked_and_complains_otherwise() -> None:
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "old.jpg"}},
        "2": {"class_type": "MotionHints", "inputs": {"hints": "old", "image": ["1", 0]}},
    }
    fill_in(graph, {("LoadImage", "image"): "new.jpg", ("MotionHints", "hints"): "{}"})
    assert graph["1"]["inputs"] == {"image": "new.jpg"}
    assert graph["2"]["inputs"] == {"hints": "{}", "image": ["1", 0]}
    with pytest.raises(ScriptError, match="no EulerianWarp node"):
        fill_in(graph, {("EulerianWarp", "frames"): 30})


def test_keep_never_overwrites(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    for number in (1, 2):
        files = []
        for name in ("a_1.mp4", "b_1.mp4", "a.webp", "contact_sheet.jpg"):
            files.append(tmp_path / name)
            files[-1].write_text(f"{name} {number}")
        kept = keep(files, output, "stream")
        stem = f"stream_00{number}"
        assert [f.name for f in kept] == [
            f"{stem}.mp4",
            f"{stem}_2.mp4",
            f"{stem}.webp",
            f"{stem}_contact_sheet.jpg",
        ]
        assert kept[1].read_text() == f"b_1.mp4 {number}"
    assert len(list(output.iterdir())) == 8
