"""What travels between nodes: prompts of one or many chunks, and how long a video is."""

from __future__ import annotations

from typing import Any

from tools.small_models import tiny_engine


def test_one_prompt_is_said_of_every_chunk(prompt: Any) -> None:
    one = prompt("red")
    assert one.told is None
    assert one.for_chunks(3) == [one.embedding] * 3


def test_a_chain_of_nodes_holds_every_chunk_once(part: Any) -> None:
    engine = tiny_engine(steps=4)
    of = part("wires").HeldState.of
    first = engine.extend(engine.begin(width=32, height=32), "red", 2)
    second = engine.extend(first, "blue", handoff="continuous")
    seen = [{tensor.data_ptr() for tensor in of(state).tensors} for state in (first, second)]
    chunks = [{record.latent.data_ptr() for record in state.chunks} for state in (first, second)]
    assert chunks[0] <= seen[0] & seen[1] and chunks[1] <= seen[1]
    assert isinstance(of(first), tuple), "ComfyUI counts the memory of tensors in tuples"
