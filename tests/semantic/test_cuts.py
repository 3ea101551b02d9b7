"""After a cut the old shot does not come back: five stories of two shots, read by the analyser."""

from __future__ import annotations

import pytest
import torch

from magi_core import Engine
from magi_core.story.chunk import ChunkSpec
from tests.semantic import breakages, checks
from tools.nano.judging import look
from tools.nano.vocabulary import SIZE

STORIES = {
    5: (
        "a big yellow star moves right on a white background",
        "a big yellow square stays still on a black background",
        "it turns pink",
        "it moves up",
    ),
    7: (
        "a big red circle moves left on a white background",
        "a big green triangle moves right at night",
        "it turns blue",
        "it moves up",
    ),
    11: (
        "a big green star moves right at night",
        "a big pink square moves left on a white background",
        "it turns purple",
        "it stops",
    ),
    3: (
        "a big blue square moves up on a gray background",
        "a big yellow circle stays still on a black background",
        "it moves right",
        "it turns red",
    ),
    21: (
        "a big yellow star moves right on a white background",
        "a big yellow square stays still on a black background",
        "it turns pink",
        "it moves up",
    ),
}
"""Seed: the first shot, and three chunks behind the cut, which change neither shape nor background."""

SECOND_SHOT = {5: ("square", "black"), 7: ("triangle", "night"), 11: ("square", "white"), 3: ("circle", "black")}
SECOND_SHOT[21] = SECOND_SHOT[5]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return checks.load("quick")


def after_the_cut(engine: Engine, seed: int) -> set[tuple[str, str]]:
    """Shapes and backgrounds of the three chunks behind the cut."""
    first, second, *rest = STORIES[seed]
    directions = [first, ChunkSpec(second, transition="cut"), *rest]
    made = engine.extend(engine.begin(width=SIZE, height=SIZE, seed=seed), directions)
    _, seen = look(torch.cat(list(engine.decode(made, start=1))))
    return {(chunk["shape"], chunk["background"]) for chunk in seen}


@pytest.mark.parametrize("seed", STORIES)
def test_the_second_shot_stays_what_it_is(engine: Engine, seed: int) -> None:
    assert after_the_cut(engine, seed) == {SECOND_SHOT[seed]}


def behind(first_shot: str, seed: int = 5) -> list[torch.Tensor]:
    """Latents of one second shot, made behind `first_shot` by an engine that remembers nothing."""
    fresh = checks.load("quick")
    _, second, *rest = STORIES[seed]
    directions = [first_shot, ChunkSpec(second, transition="cut"), *rest]
    made = fresh.extend(fresh.begin(width=SIZE, height=SIZE, seed=seed), directions)
    return [chunk.latent for chunk in made.chunks[1:]]


def test_behind_a_cut_all_is_the_same_whatever_was_before() -> None:
    assert all(
        map(torch.equal, behind("a big yellow star moves right at night"), behind("a small red circle on white"))
    )


def test_without_the_wall_what_was_before_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    breakages.cuts_are_no_walls(monkeypatch)
    after = zip(behind("a big yellow star moves right at night"), behind("a small red circle on white"), strict=True)
    assert [torch.equal(one, other) for one, other in after] == [True, False, False]
