"""What a fast path loses is told case by case: the same prompt and seed with and without it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tools.nano import paired


def found(case: int, colour: bool, shape: bool | None = True) -> dict[str, object]:
    return {"case": case, "colour": colour, "shape": shape}


def test_cases_are_paired_by_their_number_and_those_of_one_report_alone_are_left_out() -> None:
    fast = {"single generated": [found(3, False), found(1, True), found(7, False)]}
    plain = {"single generated": [found(1, True), found(2, True), found(3, True, None)]}
    lost = paired.losses(fast, plain)
    assert lost["single, colour named is shown"] == [100, 0]
    assert lost["single, shape named is shown"] == [0], "nothing was seen of the other"
    assert paired.all_lost(fast, plain) == [100, 0]


@pytest.mark.parametrize(("every", "verdict"), [(1000, "met"), (10, "missed")])
def test_the_interval_decides(tmp_path: Path, monkeypatch, capsys, every: int, verdict: str) -> None:
    """One in so many is lost, of 500."""
    for name, lost in (("fast", every), ("plain", 1000)):
        cases = [found(i, i % lost != 1) for i in range(500)]
        (tmp_path / f"{name}.json").write_text(json.dumps({"results": {"single generated": cases}}))
    monkeypatch.setattr(sys, "argv", ["paired", str(tmp_path / "fast.json"), str(tmp_path / "plain.json")])
    paired.main()
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == verdict and json.loads(out[-2])["n"] == 500
    assert json.loads(out[-2])["lost"] == pytest.approx(0 if every == 1000 else 5, abs=0.2)
