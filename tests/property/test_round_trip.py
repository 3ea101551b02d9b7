"""A take saved at any point is the same take when loaded, and goes on the same."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

import magi_core
from magi_core.state import SamplerState
from tests.property.bounded import bounded
from tools.small_models import tiny_engine

SIZE = {"width": 16, "height": 32}
PROMPT = st.sampled_from(["red", "blue", "", "ein Wald im Föhn", 'say "\\n"\n'])


def words(state: SamplerState) -> dict:
    """Everything of a state but its tensors."""
    plain = {
        name: value for name, value in vars(state).items() if name not in ("prefix", "chunks", "frontier", "frontiers")
    }
    records = [vars(record) | {"latent": None} for record in state.chunks]
    in_flight = [vars(chunk) | {"latent": None, "text": None} for chunk in state.pending]
    frontier = state.frontier and (state.frontier.key, state.frontier.next_chunk, state.frontier.run_start)
    return plain | {"chunks": records, "in flight": in_flight, "frontier": frontier}


def tensors(state: SamplerState) -> list[torch.Tensor]:
    in_flight = () if state.frontier is None else state.frontier.chunks
    return [state.latents, *(chunk.latent for chunk in in_flight), *(chunk.text.tokens for chunk in in_flight)]


@bounded(20)
@given(
    prefix=st.sampled_from([0, 1, 6, 8]),
    seed=st.integers(0, 2**63 - 1),
    fps=st.sampled_from([24, 16.5]),
    total=st.none() | st.integers(1, 5),
    prompts=st.lists(PROMPT, max_size=4),
    drain=st.booleans(),
    back=st.integers(0, 2),
    handoff=st.sampled_from(["clean", "continuous"]),
)
def test_save_and_load(tmp_path, prefix, seed, fps, total, prompts, drain, back, handoff):
    engine = tiny_engine(steps=4)
    given_frames = torch.randn(1, 16, prefix, 4, 2, generator=torch.Generator().manual_seed(1)) if prefix else None
    state = engine.begin(**SIZE, seed=seed, fps=fps, total_chunks=total, prefix=given_frames)
    if prompts:
        state = engine.extend(state, prompts, len(prompts), drain=drain)
    if back:
        state = state.at(max(state.first_chunk, state.finished - back))
    state.save(tmp_path / "take.magi")
    loaded = magi_core.load_state(tmp_path / "take.magi")
    assert words(loaded) == words(state)
    assert all(torch.equal(a, b) for a, b in zip(tensors(loaded), tensors(state), strict=True))

    there, here = (self_contained(engine, one, handoff) for one in (loaded, state))
    assert words(there) == words(here) and torch.equal(there.latents, here.latents)


def self_contained(engine, state, handoff):
    engine.cache.clear()
    return engine.extend(state, "green", handoff=handoff)
