"""Outdoors the camera, the weather and the hour do what they are told, and what is not named stays."""

from __future__ import annotations

import torch

from magi_core import Engine
from tests.semantic import checks
from tools.nano.judging import look
from tools.nano.vocabulary import SIZE

STORIES = {
    3: ("a big yellow star stays still by day", "the camera pans right", "the camera stops", "it starts to rain"),
    5: ("a big red square stays still by day", "it starts to snow", "the snow stops", "night falls"),
    8: ("a big blue circle stays still at night", "the camera zooms in", "it turns green", "day breaks"),
}
SHOWN = {
    3: [{"camera": "rest"}, {"camera": "pan right"}, {"camera": "rest"}, {"weather": "rain"}],
    5: [{"weather": "clear"}, {"weather": "snow"}, {"weather": "clear"}, {"background": "night"}],
    8: [{"background": "night"}, {"camera": "zoom in"}, {"colour": "green"}, {"background": "day"}],
}


def score(engine: Engine) -> float:
    """Share of what was told that is seen, and of shapes that are at the end what they were said to be."""
    right: list[bool] = []
    for seed, prompts in STORIES.items():
        state = engine.extend(engine.begin(width=SIZE, height=SIZE, seed=seed), list(prompts))
        _, seen = look(torch.cat(list(engine.decode(state))))
        right += [
            words[name] == word for words, told in zip(seen, SHOWN[seed], strict=True) for name, word in told.items()
        ]
        right.append(seen[-1]["shape"] in prompts[0])
    return sum(right) / len(right)


def test_camera_weather_and_hour_are_directed() -> None:
    assert score(checks.load("quick")) >= 0.8
