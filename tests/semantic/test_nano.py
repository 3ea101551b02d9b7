"""The bundled model does what its prompts say, as the engine runs it, read by the analyser."""

from __future__ import annotations

import pytest

from tests.semantic import checks


@pytest.fixture(scope="module", params=checks.ENGINES)
def frames(request):
    """The story's three chunks."""
    return checks.film(checks.load(request.param))


def test_the_first_chunk_shows_what_its_prompt_names(frames):
    score = checks.shows_its_prompt(frames)
    assert score.passed, score


def test_every_chunk_follows_its_own_prompt(frames):
    score = checks.reads_its_own_text(frames)
    assert score.passed, score


def test_what_a_prompt_does_not_name_stays_within_a_run(frames):
    score = checks.goes_on(frames)
    assert score.passed, score


def test_what_a_prompt_does_not_name_stays_across_an_extend(frames):
    score = checks.remembers(frames)
    assert score.passed, score


@pytest.mark.parametrize("name", checks.ENGINES)
def test_a_special_token_puts_borders_around_the_picture(name):
    score = checks.has_borders(checks.bordered_film(checks.load(name)))
    assert score.passed, score
