"""A broken engine shows in the video: every mistake made on purpose fails the check that `test_nano` passes."""

from __future__ import annotations

import pytest

from tests.semantic import breakages, checks


@pytest.mark.parametrize(
    "broken", [breakages.guidance_ignores_the_text, breakages.guidance_mixes_up_the_passes], ids=lambda f: f.__name__
)
def test_guidance(monkeypatch, broken):
    broken(monkeypatch)
    score = checks.shows_its_prompt(checks.film(checks.load("as shipped"), chunks=1))
    assert not score.passed, score


def test_kv_cache(monkeypatch):
    breakages.cache_holds_nothing(monkeypatch)
    score = checks.remembers(checks.film(checks.load("quick")))
    assert not score.passed, score


def test_per_chunk_text(monkeypatch):
    breakages.every_chunk_reads_the_first_text(monkeypatch)
    score = checks.reads_its_own_text(checks.film(checks.load("quick"), chunks=2))
    assert not score.passed, score


def test_special_tokens(monkeypatch):
    breakages.special_tokens_are_left_out(monkeypatch)
    score = checks.has_borders(checks.bordered_film(checks.load("quick")))
    assert not score.passed, score


def test_window_plan(monkeypatch):
    breakages.the_plan_shows_chunks_only_themselves(monkeypatch)
    score = checks.goes_on(checks.film(checks.load("quick"), chunks=2))
    assert not score.passed, score
