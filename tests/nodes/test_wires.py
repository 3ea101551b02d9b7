"""What travels between nodes: prompts of one or many chunks, and how long a video is."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from magi_core.errors import MagiError
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


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (torch.zeros(2, 16, 6, 4, 4), "hold 2 videos, and one is continued"),
        (torch.zeros(1, 16, 4, 4), "not of a video"),
        (torch.full((1, 16, 6, 4, 4), float("nan")), "not numbers"),
    ],
)
def test_latents_that_are_no_single_video_are_refused(run, engine, prompt, samples, message) -> None:
    with pytest.raises(MagiError, match=message):
        run("MagiChunkSampler", model=engine, conditioning=prompt("red"), prefix={"samples": samples}, steps=4)


def test_what_a_prefix_brings_in_vain_or_leaves_open_is_said(run, engine, prompt, vae, said) -> None:
    how = {"model": engine, "conditioning": prompt("red"), "steps": 4}
    own = run("MagiVAEEncode", vae=vae, image=torch.rand(1, 32, 32, 3), width=32, height=32)
    run("MagiChunkSampler", prefix=own, **how)
    assert "prefix" not in said()[-1]
    run("MagiChunkSampler", prefix={"samples": own["samples"], "noise_mask": torch.ones(1, 4, 4)}, **how)
    assert "noise mask of the prefix is not used" in said()[-1] and "another model's VAE" in said()[-1]


def test_latents_of_another_kind_are_not_decoded(vae) -> None:
    with pytest.raises(MagiError, match="not of a video"):
        vae.decode(torch.zeros(1, 16, 4, 4))
    with pytest.raises(MagiError, match="channels"):
        vae.decode(torch.zeros(1, 4, 1, 4, 4))


@pytest.mark.parametrize("typed", ["x", 7, -0.5, True, [], [[]], {}, {"samples": [1]}])
def test_what_is_typed_where_a_wire_belongs_is_refused_by_every_node(nodes, typed) -> None:
    widgets = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
    sockets = [(n, i.id) for n in nodes.values() for i in n.define_schema().inputs if i.io_type not in widgets]
    assert len(sockets) > 25
    for node, name in sockets:
        with pytest.raises(MagiError, match=f"{name} must come from another node"):
            node.execute(**{name: typed})


def test_a_wire_that_must_be_there_and_brings_nothing_is_refused(run) -> None:
    with pytest.raises(MagiError, match="state must come from another node"):
        run("MagiRewind", state=None)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e300, 10**30, -(10**30), "x" * 400, None, [1, 2], {}])
def test_what_a_wire_brings_is_bounded_as_what_is_typed_is(nodes, value) -> None:
    """ComfyUI looks at the range of what is typed only."""
    asked = 0
    for node in nodes.values():
        inputs = node.define_schema().inputs
        wires = {
            each.id: object() for each in inputs if each.io_type not in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
        }
        for each in inputs:
            if each.io_type in ("INT", "FLOAT") and each.options.get("max") is not None:
                asked += 1
                with pytest.raises(MagiError, match=f"^{each.id} must be a (whole )?number"):
                    node.execute(**{**wires, each.id: value})
            elif each.io_type == "STRING" and not isinstance(value, str):
                with pytest.raises(MagiError, match=f"^{each.id} must be text"):
                    node.execute(**{**wires, each.id: value})
    assert asked > 40
