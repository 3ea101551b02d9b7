"""`doctor` compares what is installed with what is needed, and pip is asked for the same."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from safetensors import safe_open

from magi_core.cli import doctor
from magi_core.cli.main import main
from magi_core.cli.needed import NEEDED, Needed, numbers
from magi_core.state.save import read_part, write_part
from tools.versions import wanted

REPOSITORY = Path(__file__).parents[3]


def test_pip_is_asked_for_what_doctor_wants() -> None:
    lines = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    asked = [line for line in lines if line and not line.startswith("#")]
    floor = {needed.name: needed.asked for needed in NEEDED}
    assert asked == ["torch", *(floor[name] for name in floor if name != "torch")]
    torch = floor["torch"].removeprefix("torch>=")
    assert any(f"{torch} and newer work" in line for line in lines), "torch has its floor in words"


@pytest.mark.parametrize(
    ("version", "fault"),
    [
        ("12.2.0", "12.3 or newer is needed"),
        ("9.9", "12.3 or newer is needed"),
        ("12.3.0", ""),
        ("12.3", ""),
        ("13.1.0", ""),
        ("14.0.0", "it cannot write videos"),
        ("14", "it cannot write videos"),
        ("14.0.1", ""),
        ("100.0", ""),
    ],
)
def test_releases_are_compared_as_numbers(version: str, fault: str) -> None:
    av = Needed("av", "av", "12.3", (("14.0.0", "cannot write videos"),))
    assert av.fault(version) == fault


def test_builds_and_previews_are_releases_too() -> None:
    assert numbers("2.13.0+cpu") == (2, 13)
    assert numbers("12.0rc1") == (12,)
    assert numbers("unknown") == ()


@pytest.mark.parametrize(("package", "release"), [("av", "14.0.0"), ("safetensors", "0.3.3"), ("torch", "2.0.1+cu118")])
def test_doctor_names_a_release_that_does_not_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str, release: str
) -> None:
    own = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: release if name == package else own(name))
    assert main(["doctor"]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"MISS {package} ")]
    assert f"{release} is here, but" in line
    assert ("pytorch.org" if package == "torch" else "pip install --upgrade") in line


def test_doctor_is_content_with_what_is_installed_here() -> None:
    names = {needed.name for needed in NEEDED}
    assert {finding.what for finding in doctor.examine() if finding.what in names and finding.good} == names


def test_the_floor_is_asked_for_exactly() -> None:
    floor = wanted("floor", ["av==13.0.0"])
    assert "safetensors==0.4.3" in floor and "einops==0.7.0" in floor and "av==13.0.0" in floor
    assert "av>=12.3,!=14.0.0" in wanted("newest", []) and not [name for name in floor if name.startswith("torch")]


def test_a_part_without_tensors_can_be_read_by_every_safetensors(tmp_path: Path) -> None:
    """0.4.3 cannot read a file that holds none, and the head of a take that is being made holds none."""
    write_part(tmp_path / "head", {"format": 3, "words": "only"}, {})
    with safe_open(tmp_path / "head", framework="pt") as file:
        assert list(file.keys())
    words, tensors = read_part(tmp_path / "head")
    assert words["words"] == "only" and tensors == {}
