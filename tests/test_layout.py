"""What the repository promises about its own shape."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = sorted((ROOT / "t2c_core").rglob("*.py"))
STAGES = ("prompt", "twin", "segment", "flow", "warp", "loop")
BEFORE_ALL = ("errors.py", "nearest.py", "types.py", "hints.py", "pictures.py", "weights.py")
NEEDS_NOTHING = "t2c_core.kernels.choose"
# Only the parts that make a path of a machine, so that this file does not contain what it looks for.
MACHINE_PATHS = re.compile(r"(?<![\w.~:}\])-])/(?:" + "|".join(["tmp", "root", "home", "work"]) + r")/")


def imported(path: Path, root: Path = ROOT) -> set[str]:
    """The full dotted names of all modules (and names from them) a file imports, relative imports resolved."""
    return _names(ast.parse(path.read_text(encoding="utf-8")), path, root)


def _names(tree: ast.AST, path: Path, root: Path) -> set[str]:
    package = path.relative_to(root).parent.parts
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def imported_at_once(path: Path) -> set[str]:
    """The same for what importing the file imports: nothing inside functions."""

    class WithoutFunctions(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

    return _names(WithoutFunctions().visit(ast.parse(path.read_text(encoding="utf-8"))), path, ROOT)


def stage_of(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "t2c_core" and parts[1] in STAGES else None


def test_imports_are_found_at_every_level(tmp_path):
    (tmp_path / "t2c_core" / "flow").mkdir(parents=True)
    file = tmp_path / "t2c_core" / "flow" / "some.py"
    lines = (
        "import comfy.utils as c",
        "from ..loop.write import x",
        "from .a import b",
        "def f():\n    from .. import warp",
    )
    file.write_text("\n".join(lines))
    assert imported(file, tmp_path) == {
        "comfy.utils",
        "t2c_core.loop.write.x",
        "t2c_core.flow.a.b",
        "t2c_core.warp",
    }


@pytest.mark.parametrize("path", CORE, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_core_imports_nothing_of_comfyui_and_no_node(path):
    names = imported(path)
    forbidden = {n for n in names if n.split(".")[0] in {"comfy", "comfy_api", "comfy_extras", "folder_paths", "nodes"}}
    assert not forbidden
    # A relative import that climbs above t2c_core would land in the pack.
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level <= len(path.relative_to(ROOT).parent.parts), ast.unparse(node)


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_imports_a_later_one(stage):
    files = sorted((ROOT / "t2c_core" / stage).rglob("*.py"))
    assert files
    later = STAGES[STAGES.index(stage) + 1 :]
    wrong = {(f.name, n) for f in files for n in imported(f) if stage_of(n) in later}
    assert not wrong


@pytest.mark.parametrize("name", BEFORE_ALL)
def test_values_stand_before_all_stages(name):
    names = {n for n in imported(ROOT / "t2c_core" / name) if n.startswith("t2c_core")}
    allowed = {f"t2c_core.{other.removesuffix('.py')}" for other in BEFORE_ALL}
    assert {".".join(n.split(".")[:2]) for n in names} <= allowed


def test_kernels_stand_before_all_stages():
    files = sorted((ROOT / "t2c_core" / "kernels").glob("*.py"))
    names = {n for f in files for n in imported(f) if n.startswith("t2c_core")}
    assert {".".join(n.split(".")[:2]) for n in names} == {"t2c_core.errors", "t2c_core.kernels"}


def test_nothing_needs_triton_to_be_imported():
    """Only kernels import Triton, and only inside functions is a kernel imported: a CPU's torch comes without it."""
    for file in CORE:
        is_kernel = file.parent.name == "kernels"
        names = imported_at_once(file)
        if not is_kernel or file.stem in ("__init__", "choose"):
            kernels = {n for n in names if n.startswith("t2c_core.kernels.") and not n.startswith(NEEDS_NOTHING + ".")}
            assert not kernels, file
        triton = {n for n in imported(file) if n.split(".")[0] == "triton"}
        assert bool(triton) == (is_kernel and file.stem not in ("__init__", "choose")), file


def test_dependencies_are_not_pinned():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    everything = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    assert len(project["dependencies"]) > 5
    assert [d for d in everything if "==" in d.split(";")[0]] == []


def test_requirements_txt_says_the_same_as_pyproject():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
    file = ROOT / "requirements.txt"
    if not file.exists():
        pytest.skip("no requirements.txt")
    lines = [line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert sorted(filter(None, lines)) == sorted(project["dependencies"])


def test_every_workflow_has_its_picture():
    workflows = sorted((ROOT / "workflows").glob("*.json"))
    if not workflows:
        pytest.skip("no workflows yet")
    assert [w.name for w in workflows if not w.with_suffix(".jpg").is_file()] == []


def test_the_pack_does_not_use_the_old_node_mappings():
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    names |= {a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    assert "comfy_entrypoint" in names
    assert "NODE_CLASS_MAPPINGS" not in names


@pytest.mark.parametrize("text", ["open('/" + "tmp/x.png')", "cd /" + "home/me/pack", "a=/" + "root/x", "/" + "work/y"])
def test_a_machine_path_is_recognised(text):
    assert MACHINE_PATHS.search(text)


@pytest.mark.parametrize(
    "text", ["https://a.org/" + "home/x", "tests/" + "tmp/x", "$DIR}/" + "work/x", "tmp_path / 'x'"]
)
def test_other_paths_are_not_machine_paths(text):
    assert not MACHINE_PATHS.search(text)


def test_no_file_names_a_path_of_one_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / f for f in listed.stdout.splitlines() if f.endswith((".py", ".md", ".json", ".toml"))]
    assert len(files) > 20
    found = {
        (f.relative_to(ROOT).as_posix(), number)
        for f in files
        if f.is_file()
        for number, line in enumerate(f.read_text(encoding="utf-8").splitlines(), 1)
        if MACHINE_PATHS.search(line)
    }
    assert not found


def test_requirements_txt_lists_what_pyproject_does() -> None:
    """ComfyUI's managers install from requirements.txt, everything else from pyproject.toml."""
    listed = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    declared = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert listed == re.findall(r'"([^"]+)"', declared[1])
