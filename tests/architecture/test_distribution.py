"""What ComfyUI's registry and every system's file manager ask of the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from magi_core.errors import MagiError
from magi_core.video.output_path import check_name

tomllib = pytest.importorskip("tomllib", reason="Python 3.11 brings it")
REPOSITORY = Path(__file__).parents[2]
LONGEST = 120  # characters of a path in the repository; Windows allows 260 from the drive on


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_registry_gets_a_name_a_version_and_a_licence(project: dict[str, Any]) -> None:
    about = project["project"]
    assert re.fullmatch(r"[a-z][a-z0-9-]*", about["name"]) and "comfyui" not in about["name"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", about["version"])
    assert f"## {about['version']}" in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert about["license"]["text"] == "Apache-2.0"
    assert "Apache License" in (REPOSITORY / "LICENSE").read_text(encoding="utf-8")
    assert "License :: OSI Approved :: Apache Software License" in about["classifiers"]
    assert "Operating System :: OS Independent" in about["classifiers"]
    assert project["tool"]["comfy"]["DisplayName"]
    assert (REPOSITORY / "docs" / "images" / "icon.svg").is_file()


def test_the_registry_and_the_entry_point_ask_for_the_same_comfyui(project: dict[str, Any]) -> None:
    floor = re.fullmatch(r">=(\d+\.\d+)\.0", project["tool"]["comfy"]["requires-comfyui"])
    assert floor and f"({floor[1]} or newer)" in (REPOSITORY / "__init__.py").read_text(encoding="utf-8")


def test_a_users_torch_stays(project: dict[str, Any]) -> None:
    """Both what ComfyUI's installers read and what pip reads: any version of torch, and none of its companions."""
    assert project["project"]["dynamic"] == ["dependencies"]
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"] == {"file": ["requirements.txt"]}
    lines = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    assert "torch" in wanted
    assert not [line for line in wanted if re.match(r"(torch.|torchvision|torchaudio|nvidia|triton|xformers)", line)]
    assert not [line for line in wanted if "==" in line or "<" in line], "a pin would change what others installed"


def test_every_file_can_be_checked_out_on_every_system() -> None:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    files = [name for name in done.stdout.split("\0") if name]
    assert len(files) > 100, done.stderr
    assert len({name.casefold() for name in files}) == len(files), "two names differ in case only"
    for name in files:
        assert len(name) <= LONGEST and name.isascii(), name
        check_name(name)


def test_a_name_that_windows_cannot_have_would_be_found() -> None:
    for name in ("docs/aux.md", "a:b", "docs /a"):
        with pytest.raises(MagiError):
            check_name(name)
