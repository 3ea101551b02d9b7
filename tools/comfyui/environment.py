"""The environment that runs ComfyUI: `.venv` inside its tree, with its packages and this pack's."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.comfyui.find import REPOSITORY

CONSTRAINTS = REPOSITORY / "scripts" / "constraints.txt"
COMPANIONS = ("torchvision", "torchaudio")  # ComfyUI needs no more of them than that they can be imported
NOT_NEEDED = {"torch", *COMPANIONS, "comfyui-workflow-templates", "comfyui-embedded-docs"}
STAMP = "magi-installed"  # in .venv: what was asked for when it was last complete
OPERATORS = "".join(
    f'_library.define("torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")\n'
    for name in ("nms", "qnms")
)


class NoEnvironment(Exception):
    """Packages cannot be installed, or do not work; the message says which and why."""


def provide_environment(tree: Path) -> Path:
    """The interpreter of the tree's own environment, made or completed where it has to be."""
    folder = tree / ".venv"
    python, stamp = folder / "bin" / "python", folder / STAMP
    wanted = _wanted(tree)
    if python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        print(f"{folder} is complete already")
        return python
    if not python.exists():
        print(f"making {folder}")
        _run([sys.executable, "-m", "venv", str(folder)])
    _install(python, tree)
    mend_companions(python)
    stamp.write_text(wanted, encoding="utf-8")
    return python


def requirements_for_tests(text: str) -> str:
    """ComfyUI's requirements without what is installed beforehand and what only its interface shows."""
    names = [re.split(r"[^\w-]", line, maxsplit=1)[0].lower() for line in text.splitlines()]
    return "\n".join(line for line, name in zip(text.splitlines(), names, strict=True) if name not in NOT_NEEDED)


def _wanted(tree: Path) -> str:
    files = (tree / "requirements.txt", REPOSITORY / "requirements.txt", CONSTRAINTS, Path(__file__))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return f"{sys.version_info.major}.{sys.version_info.minor} {digest}\n"


def _install(python: Path, tree: Path) -> None:
    """Torch first, and then nothing that would bring another build of it."""
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    version = [str(python), "-c", "import torch; print(torch.__version__)"]
    if subprocess.run(version, capture_output=True).returncode:
        print("installing torch (this can take some minutes)")
        _run([*pip, "-c", str(CONSTRAINTS), "torch"])
    print(f"installing {' and '.join(COMPANIONS)}, without what they ask for")
    _run([*pip, "--no-deps", "-c", str(CONSTRAINTS), *COMPANIONS])
    with tempfile.TemporaryDirectory() as place:
        kept, wanted = Path(place) / "constraints.txt", Path(place) / "requirements.txt"
        kept.write_text(f"torch=={_run(version).strip()}\n", encoding="utf-8")
        text = (tree / "requirements.txt").read_text(encoding="utf-8")
        wanted.write_text(requirements_for_tests(text), encoding="utf-8")
        print("installing ComfyUI's requirements")
        _run([*pip, "-c", str(kept), "-r", str(wanted)])
        print("installing this pack's requirements")
        _run([*pip, "-c", str(kept), "-r", str(REPOSITORY / "requirements.txt")])


def mend_companions(python: Path) -> None:
    """Lets torchvision and torchaudio be imported where they were built for CUDA and torch was not."""
    if not _imports(python, "torchvision"):
        file = _folder(python, "torchvision") / "_meta_registrations.py"
        print("torchvision: declaring the operators that its library would bring")
        file.write_text("import torch.library as _library\n" + OPERATORS + file.read_text(encoding="utf-8"))
    if not _imports(python, "torchaudio"):
        print("torchaudio: leaving out its libraries")
        for library in (_folder(python, "torchaudio") / "lib").glob("*.so"):
            library.unlink()
    for name in COMPANIONS:
        _run([str(python), "-c", f"import {name}"])


def _imports(python: Path, package: str) -> bool:
    return subprocess.run([str(python), "-c", f"import {package}"], capture_output=True).returncode == 0


def _folder(python: Path, package: str) -> Path:
    """Where a package lies that cannot be imported."""
    code = f"from importlib.util import find_spec; print(find_spec('{package}').submodule_search_locations[0])"
    return Path(_run([str(python), "-c", code]).strip())


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise NoEnvironment(f"{' '.join(command[:4])} ... failed:\n{(done.stderr or done.stdout)[-2000:]}")
    return done.stdout
