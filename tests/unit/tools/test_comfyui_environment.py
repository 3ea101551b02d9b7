"""ComfyUI's environment: which packages go into it, and what is mended where builds do not fit each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.comfyui.environment import CONSTRAINTS, NoEnvironment, mend_companions, requirements_for_tests
from tools.comfyui.find import REPOSITORY

TORCH_LIBRARY = """
defined = []
def define(name, signature):
    defined.append(name)
"""
NEEDS_OPERATORS = """
import torch.library
assert {"torchvision::nms", "torchvision::qnms"} <= set(torch.library.defined), "operator does not exist"
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages called torch, torchvision and torchaudio, which can be imported."""
    for name in ("torch", "torchvision", "torchaudio"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "torch" / "library.py").write_text(TORCH_LIBRARY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.py")}


def test_torch_is_installed_before_and_pictures_of_the_interface_not_at_all() -> None:
    names = ["comfyui-frontend-package==1.49.6", "comfyui-workflow-templates==0.1", "torch", "torchsde", "Pillow"]
    text = "\n".join([*names, "torchvision>=0.2"])
    assert requirements_for_tests(text).split() == [names[0], "torchsde", "Pillow"]


def test_every_release_of_torch_is_named_once() -> None:
    lines = [line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if line.startswith("torch")]
    assert [line.partition("==")[0] for line in lines] == ["torch", "torchaudio", "torchvision"]
    listed = ["git", "grep", "-lE", "--untracked", "(torch|torchvision|torchaudio)==[0-9]"]
    found = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True).stdout.split()
    assert found == ["scripts/constraints.txt"]


def test_what_can_be_imported_stays_as_it_is(site: Path) -> None:
    before = content(site)
    mend_companions(Path(sys.executable))
    assert content(site) == before


def test_operators_without_their_library_are_declared_once(site: Path) -> None:
    (site / "torchvision" / "__init__.py").write_text("from torchvision import _meta_registrations\n")
    (site / "torchvision" / "_meta_registrations.py").write_text(NEEDS_OPERATORS)
    mend_companions(Path(sys.executable))
    mended = content(site)
    mend_companions(Path(sys.executable))
    assert (
        content(site) == mended
        and mended["torchvision/_meta_registrations.py"].count(b'define("torchvision::qnms') == 1
    )


def test_libraries_that_cannot_be_loaded_are_left_out(site: Path) -> None:
    (site / "torchaudio" / "lib").mkdir()
    library = site / "torchaudio" / "lib" / "libtorchaudio.so"
    library.touch()
    code = f"import ctypes, os\nif os.path.exists({str(library)!r}):\n    ctypes.CDLL({str(library)!r})\n"
    (site / "torchaudio" / "__init__.py").write_text(code)
    mend_companions(Path(sys.executable))
    assert not library.exists()


def test_what_cannot_be_mended_is_said(site: Path) -> None:
    (site / "torchaudio" / "__init__.py").write_text("raise ImportError('not for this machine')")
    (site / "torchaudio" / "lib").mkdir()
    with pytest.raises(NoEnvironment, match="not for this machine"):
        mend_companions(Path(sys.executable))
