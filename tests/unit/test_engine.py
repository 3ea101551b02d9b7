"""What `Engine` promises: immutable states, prefixes, cancelling, locality, clear refusals."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from magi_core.attention.sage import sage_attention
from magi_core.attention.sdpa import sdpa
from magi_core.errors import MagiError
from magi_core.sampling.noise import chunk_noise
from magi_core.state.state import Cancelled
from magi_core.text.conditioning import PromptEmbedding
from tools.small_models import tiny_engine

SIZE = {"width": 32, "height": 48}


@pytest.fixture
def engine():
    return tiny_engine()


def test_one_run_makes_the_chunks_asked_for(engine):
    state = engine.extend(engine.begin(**SIZE, seed=3), ["red", "blue", "green"], 3)
    assert [(c.index, c.prompt, c.seed) for c in state.chunks] == [(0, "red", 3), (1, "blue", 3), (2, "green", 3)]
    assert state.latents.shape == (1, 16, 18, 6, 4)
    assert torch.isfinite(state.latents).all() and state.latents.std() > 0.1
    assert state.frames == 72 and state.prefix_frames == 0


def test_the_same_seed_gives_the_same_video_and_another_seed_another(engine):
    first, again, other = (engine.extend(engine.begin(**SIZE, seed=seed), "red", 2).latents for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 0.1


def test_extending_leaves_its_input_alone_and_branches_apart(engine):
    trunk = engine.extend(engine.begin(**SIZE), "red", 2)
    before = trunk.latents.clone()
    left, right = engine.extend(trunk, "blue"), engine.extend(trunk, "green")
    assert torch.equal(trunk.latents, before) and len(trunk.chunks) == 2
    assert torch.equal(left.latents[:, :, :12], before) and torch.equal(right.latents[:, :, :12], before)
    assert (left.latents[:, :, 12:] - right.latents[:, :, 12:]).abs().max() > 1e-3
    with pytest.raises(FrozenInstanceError):
        trunk.seed = 4


def test_a_later_prompt_leaves_earlier_chunks_as_they_were(engine):
    one, two = (engine.extend(engine.begin(**SIZE), ["red", "red", last], 3) for last in ("blue", "a green circle"))
    torch.testing.assert_close(one.latents[:, :, :12], two.latents[:, :, :12], rtol=0, atol=1e-5)
    assert (one.chunks[2].latent - two.chunks[2].latent).abs().max() > 1e-3


@pytest.mark.parametrize("distill", [False, True], ids=["base", "distill"])
def test_previous_chunks_are_seen_through_the_cache(distill):
    engine = tiny_engine(distill)
    states = [engine.extend(engine.begin(**SIZE, seed=seed), "red", 1) for seed in (1, 2)]
    same_noise = engine.copy(noise=lambda _seed, chunk, shape: chunk_noise(9, chunk, shape))
    follow = [same_noise.extend(state, "red") for state in states]
    assert (follow[0].chunks[1].latent - follow[1].chunks[1].latent).abs().max() > 1e-3


def test_prompts_reach_their_own_chunk_from_the_start(engine):
    one, two = (engine.extend(engine.begin(**SIZE), [p, "red"], 2) for p in ("red", "blue"))
    assert (one.chunks[0].latent - two.chunks[0].latent).abs().max() > 1e-3


@pytest.mark.parametrize("frames", [4, 8, 17, 24, 30, 32, 49, 120])
def test_a_video_of_any_length_can_be_continued(engine, frames):
    video = torch.randint(0, 256, (frames, 48, 32, 3), dtype=torch.uint8)
    state = engine.begin(**SIZE, video=video)
    assert state.prefix_frames == frames and state.filled == -frames % 4
    assert bool(state.notes) == bool(frames % 4)
    given = state.prefix
    state = engine.extend(state, "red", 2)
    assert torch.equal(state.latents[:, :, : given.shape[2]], given)
    assert (
        sum(len(block) for block in engine.decode(state)) == state.frames == 4 * state.latents.shape[2] - state.filled
    )
    assert state.chunks[0].index == frames_to_chunks(frames)


def frames_to_chunks(frames):
    return -(-frames // 4) // 6


def test_an_image_becomes_the_first_latent_frame(engine):
    image = torch.rand(48, 32, 3)
    state = engine.begin(**SIZE, image=image)
    assert state.prefix.shape == (1, 16, 1, 6, 4)
    state = engine.extend(state, "red")
    assert torch.equal(state.latents[:, :, :1], state.prefix)
    assert state.frames == 24


def test_decode_yields_any_part_equal_to_the_whole(engine):
    state = engine.extend(engine.begin(**SIZE), "red", 3)
    whole = torch.cat(list(engine.decode(state)))
    assert whole.dtype == torch.uint8 and whole.shape == (72, 48, 32, 3)
    assert torch.equal(torch.cat(list(engine.decode(state, start=1, stop=2))), whole[24:48])
    with pytest.raises(MagiError, match="chunks 0 to 3"):
        engine.decode(state, start=2, stop=5)


def test_cancelling_keeps_what_is_finished_and_stops_within_one_forward():
    engine, forwards, asked = tiny_engine(), [], []
    original = type(engine.dit).forward

    def counting(self, *args, **kwargs):
        forwards.append(1)
        return original(self, *args, **kwargs)

    def cancelled():
        asked.append(len(forwards))
        return done and len(forwards) > 0

    done: list[int] = []
    engine.dit.forward = counting.__get__(engine.dit)
    try:
        with pytest.raises(Cancelled) as caught:
            engine.extend(
                engine.begin(**SIZE), "red", 4, on_chunk=lambda record: done.append(len(forwards)), cancelled=cancelled
            )
    finally:
        del engine.dit.forward
    state = caught.value.state
    assert len(state.chunks) == 1
    assert len(forwards) == done[0], "no forward after the request"
    uncut = engine.extend(engine.begin(**SIZE), "red", 4)
    assert torch.equal(state.chunks[0].latent, uncut.chunks[0].latent)


def test_progress_counts_every_forward_and_estimates_the_clean_chunk(engine):
    events = []
    state = engine.extend(
        engine.begin(**SIZE), "red", 2, on_step=lambda e: events.append((e, e.in_flight[0].clean_estimate()))
    )
    assert [e.step for e, _ in events] == list(range(1, 11)) and {e.steps for e, _ in events} == {10}
    assert [e.in_flight[0].index for e, _ in events] == [0] * 8 + [1] * 2
    last = [estimate for e, estimate in events if e.in_flight[0].index == 0][-1]
    torch.testing.assert_close(last, state.chunks[0].latent, rtol=0, atol=1e-5)


def test_a_step_tells_of_every_chunk_in_flight(engine):
    events = []
    state = engine.extend(engine.begin(**SIZE), ["red", "blue", "green"], on_step=events.append)
    keys = {record.index: record.key for record in state.chunks}
    for event in events:
        assert [keys[chunk.index] for chunk in event.in_flight] == [chunk.key for chunk in event.in_flight]
        places = [(chunk.stage, chunk.t) for chunk in event.in_flight]
        assert places == sorted(places, reverse=True), "the oldest is the cleanest"
        assert all(chunk.clean_estimate().shape == state.latent_shape for chunk in event.in_flight)
    assert max(len(event.in_flight) for event in events) == 3
    assert [event.done for event in events] == sorted(event.done for event in events)


def test_an_empty_prompt_is_null_text(engine):
    empty = engine.extend(engine.begin(**SIZE), "")
    null = engine.extend(engine.begin(**SIZE), PromptEmbedding("", torch.zeros(0, 16)))
    assert torch.equal(empty.latents, null.latents)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: e.begin(width="32", height=32), "width must be a whole number"),
        (lambda e: e.begin(width=10**6, height=32), "at most 16,384 pixels"),
        (lambda e: e.begin(**SIZE, fps=float("nan")), "frames per second"),
        (lambda e: e.begin(**SIZE, seed=1.5), "seed must be a whole number"),
        (lambda e: e.begin(**SIZE, seed=2**64), "seed must be a whole number"),
        (lambda e: e.begin(**SIZE, seed=-1), "seed must be a whole number from 0"),
        (lambda e: e.begin(**SIZE, prefix=torch.zeros(2, 16, 1, 4, 4)), "these latents have shape"),
        (lambda e: e.plan(e.begin(**SIZE), "a", end=0), "can end after 1 or more"),
        (lambda e: e.plan(e.begin(**SIZE), "a", "2"), "chunks must be at least 1"),
        (lambda e: e.plan(e.begin(**SIZE), "a", 10**12), "at most 100,000"),
        (lambda e: e.plan(e.begin(**SIZE), None), "give a prompt, a list"),
        (lambda e: e.plan(e.begin(**SIZE), [5]), "a chunk's direction is a prompt"),
        (lambda e: e.plan(e.begin(**SIZE), "a", handoff="later"), "unknown handoff"),
        (lambda e: e.with_settings(clean_t=3), "clean_t must be from 0 to 1"),
        (lambda e: e.with_settings(steps=8.0), "are whole numbers|must be whole numbers"),
        (lambda e: e.begin(width=725, height=720), "width must be a multiple of 16: 725 -> use 720 or 736"),
        (lambda e: e.begin(width=0, height=720), "width must be a multiple of 16: 0 -> use 16"),
        (lambda e: e.begin(**SIZE, steps=10), "steps must be a multiple of the window"),
        (lambda e: e.with_settings(steps=6, window=2), "multiple of the number of KV ranges"),
        (lambda e: e.with_settings(windows=2), "unknown sampling setting"),
        (lambda e: e.begin(**SIZE, total_chunks=0), "total_chunks must be at least 1"),
        (lambda e: e.begin(**SIZE, fps=0), "fps must be above 0"),
        (lambda e: e.begin(**SIZE, image=torch.rand(8, 8, 3), video=torch.rand(4, 8, 8, 3)), "not both"),
        (lambda e: e.begin(**SIZE, prefix=torch.zeros(1, 16, 6, 4, 6)), "must be"),
        (lambda e: e.extend(e.begin(**SIZE), "red", 0), "chunks must be at least 1"),
        (lambda e: e.extend(e.begin(**SIZE), ["red", "blue"], 3), "2 prompts for 3 chunks"),
        (lambda e: e.copy(vae=None).begin(**SIZE, image=torch.rand(48, 32, 3)), "no VAE"),
        (lambda e: e.copy(text_encoder=None).extend(e.begin(**SIZE), "red"), "no text encoder"),
        (lambda e: (t := e.with_settings(special_tokens=("HQ",))).extend(t.begin(**SIZE), "red"), "special_tokens.npz"),
    ],
)
def test_bad_input_is_refused_with_what_to_do(engine, call, message):
    with pytest.raises(MagiError, match=message):
        call(engine)


def test_without_special_tokens_a_prompt_may_still_ask_for_none():
    """Its own answer counts, not the settings'; what the null text needs is asked for only where it is used."""
    engine = tiny_engine().copy(special_tokens=None).with_settings(special_tokens=("HQ",), duration_tokens=False)
    plain = replace(engine.encode_prompt("red"), special_tokens=())
    state = engine.extend(engine.begin(**SIZE), plain)
    assert len(state.chunks) == 1
    for changes in ({"duration_tokens": True}, {"negative_tokens": ("LOGO",)}):
        other = engine.with_settings(**changes)
        with pytest.raises(MagiError, match="special_tokens.npz"):
            other.extend(other.begin(**SIZE), plain)


def test_noise_depends_on_seed_and_chunk_alone():
    shape = (16, 6, 2, 2)
    assert torch.equal(chunk_noise(5, 3, shape), chunk_noise(5, 3, shape))
    drawn = [chunk_noise(seed, chunk, shape) for seed, chunk in ((5, 3), (5, 4), (6, 3), (3, 5), (2**40, 0), (-1, 0))]
    for i, one in enumerate(drawn):
        assert abs(one.mean()) < 0.1 and 0.9 < one.std() < 1.1
        for other in drawn[:i]:
            assert abs(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]) < 0.1


def test_sizes_far_from_what_the_model_was_made_for_are_warned_of(engine):
    small = engine.copy(size=(128, 128))
    assert small.far_from_own_size(128, 128) == small.far_from_own_size(192, 128) == ""
    assert "720x720 is far from what this model was made for (128x128)" in small.far_from_own_size(720, 720)
    assert "64x64 is far" in small.far_from_own_size(64, 64)


def test_what_attention_in_8_bits_made_is_not_taken_for_what_exact_attention_makes(engine):
    begun = engine.begin(**SIZE)
    engine.extend(begun, "red")
    rounded = engine.copy(attention=sage_attention)
    assert rounded.plan(begun, "red").cost.total > 0
    assert rounded.copy(attention=sdpa).plan(begun, "red").cost.total == 0
