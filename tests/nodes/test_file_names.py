"""Nodes that write files refuse, before any work, names that another system could not have."""

from __future__ import annotations

from typing import Any

import pytest

from magi_core.errors import MagiError

SMALL = {"width": 32, "height": 32, "steps": 4}


@pytest.fixture
def no_work(engine: Any) -> Any:
    """The model, which fails the test when it is used."""

    def fail(*_: Any) -> None:
        raise AssertionError("it was sampled")

    hook = engine.dit.register_forward_pre_hook(fail)
    yield engine
    hook.remove()


def test_autosave(run: Any, no_work: Any, prompt: Any) -> None:
    with pytest.raises(MagiError, match="use 'take 12-30'"):
        run("MagiChunkSampler", model=no_work, conditioning=prompt("red"), autosave="take 12:30", **SMALL)


def test_saved_takes_and_videos(run: Any, engine: Any, prompt: Any, vae: Any) -> None:
    take = run("MagiChunkSampler", model=engine, conditioning=prompt("red"), seed=5, **SMALL)
    for node, more in (("MagiSaveState", {}), ("MagiDecodeToFile", {"vae": vae})):
        with pytest.raises(MagiError, match="use 'scene-/a'"):
            run(node, state=take, filename_prefix="scene?/a", **more)
        with pytest.raises(MagiError, match="'aux' is a device on Windows"):
            run(node, state=take, filename_prefix="aux/a", **more)
