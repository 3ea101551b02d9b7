"""Every reader of files and texts refuses in words what it cannot read; a few seconds each (more: `tools.fuzz`)."""

from __future__ import annotations

import random
import time

import pytest

from magi_core.errors import MagiError
from tools.fuzz import hunt as hunting
from tools.fuzz.hunt import given, hunt
from tools.fuzz.mutate import mutated
from tools.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_but_words_comes_out_of_a_reader(target):
    found = hunt(target, 2.5, seed=0)
    assert not found.findings, found.findings
    assert found.inputs > len(TARGETS[target].seeds())


@pytest.mark.parametrize("target", TARGETS)
def test_inputs_to_start_from_are_read(target, tmp_path):
    seeds = TARGETS[target].seeds()  # once: an encoder's bytes may differ on a busy machine
    for number, seed in enumerate(seeds):
        (tmp_path / str(number)).mkdir()
        try:
            TARGETS[target].read(seed, tmp_path / str(number))
        except MagiError as error:
            assert target in ("index", "model-config", "storyboard"), error  # a part of something larger
    assert mutated(seeds, random.Random(1)) == mutated(seeds, random.Random(1))


def _raises(error):
    def read(_content, _folder):
        raise error

    return read


def test_what_counts_as_a_finding(tmp_path, monkeypatch):
    assert given(_raises(MagiError("no")), b"", tmp_path) is False
    assert given(lambda _content, _folder: 1, b"", tmp_path) is True
    assert "ValueError" in given(_raises(ValueError("x")), b"", tmp_path)
    assert "SystemExit" in given(_raises(SystemExit(1)), b"", tmp_path)
    monkeypatch.setattr(hunting, "SECONDS", 1)
    assert "more than 1 s" in given(lambda _content, _folder: time.sleep(5), b"", tmp_path)
    peaks = iter([0, 3 << 30])
    monkeypatch.setattr(hunting, "_peak", lambda: next(peaks))
    assert "3072 MiB" in given(lambda _content, _folder: 1, b"", tmp_path)
