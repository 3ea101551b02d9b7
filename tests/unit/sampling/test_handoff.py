"""Extending in all ways: one long run, cut anywhere, branched, rewound, repeated, gives one result and known costs."""

from __future__ import annotations

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.state.state import Cancelled
from tools.small_models import tiny_engine

SIZE = {"width": 32, "height": 32}
PROMPTS = ["red", "blue circle", "green", "it stops", "a tall tree", "red again"]
WAYS = [{"handoff": "continuous"}, {"drain": False}]


class Counter:
    """Counts chunk-forwards: chunks in every model call, all guidance passes."""

    def __init__(self, engine):
        self.chunks = self.forwards = 0
        engine.dit.register_forward_pre_hook(self._seen, with_kwargs=True)

    def _seen(self, _module, args, kwargs):
        self.forwards += 1
        self.chunks += args[1].shape[1]

    def taken(self):
        taken, self.chunks, self.forwards = (self.chunks, self.forwards), 0, 0
        return taken


@pytest.fixture
def counter(request):
    from tools.small_models import tiny_dit

    tiny_dit.cache_clear()
    counter = Counter(tiny_engine())
    yield counter
    tiny_dit.cache_clear()


def run(engine, prompts, **begin):
    return engine.extend(engine.begin(**SIZE, **begin), prompts, len(prompts))


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("distill", [False, True], ids=["base", "distill"])
@pytest.mark.parametrize("way", WAYS, ids=["continuous", "undrained"])
@pytest.mark.parametrize("cuts", [(1, 5), (3, 3), (4, 2), (5, 1), (1, 1, 1, 1, 1, 1), (2, 1, 3)], ids=str)
def test_a_run_cut_anywhere_is_the_same_run(distill, way, cuts):
    whole = run(tiny_engine(distill), PROMPTS)
    engine, at = tiny_engine(distill), 0
    state = engine.begin(**SIZE)
    for cut in cuts:
        engine.cache.clear()
        given = state.chunks
        state = engine.extend(state, PROMPTS[at : at + cut], cut, **way)
        assert state.chunks[: len(given)] == given, "chunks handed out stay as they were"
        at += cut
    state = engine.drain(state)
    assert [c.prompt for c in state.chunks] == PROMPTS and not state.pending
    assert relative(state.latents, whole.latents) < 1e-5
    assert state.chunks[-1].key == whole.chunks[-1].key


@pytest.mark.parametrize("prefix", [1, 6, 8, 20])
@pytest.mark.parametrize("way", WAYS, ids=["continuous", "undrained"])
def test_a_cut_run_after_a_prefix_is_the_same_run(prefix, way):
    given = torch.randn(1, 16, prefix, 4, 4)
    whole = run(tiny_engine(), PROMPTS[:4], prefix=given)
    engine = tiny_engine()
    state = engine.extend(engine.begin(**SIZE, prefix=given), PROMPTS[0], **way)
    engine.cache.clear()
    state = engine.drain(engine.extend(state, PROMPTS[1:4], 3, **way))
    assert relative(state.latents, whole.latents) < 1e-5


def test_window_of_one_can_be_continued():
    settings = {"window": 1, "steps": 4}
    whole = run(tiny_engine(**settings), PROMPTS[:3])
    engine = tiny_engine(**settings)
    state = engine.extend(run(engine, PROMPTS[:2]), PROMPTS[2], handoff="continuous")
    assert relative(state.latents, whole.latents) < 1e-5


def test_clean_handoff_continues_from_finished_chunks_only():
    engine = tiny_engine()
    start = run(engine, PROMPTS[:2])
    clean = engine.extend(start, PROMPTS[2])
    as_prefix = engine.extend(engine.begin(**SIZE, prefix=start.latents), PROMPTS[2])
    assert relative(as_prefix.chunks[0].latent, clean.chunks[2].latent) < 1e-5
    continuous = engine.extend(start, PROMPTS[2], handoff="continuous")
    assert relative(continuous.chunks[2].latent, clean.chunks[2].latent) > 1e-3


def test_changing_a_later_prompt_redoes_only_the_stages_it_shares(counter):
    engine = tiny_engine()
    first = run(engine, PROMPTS)
    full, _ = counter.taken()
    changed = run(engine, [*PROMPTS[:5], "something else"])
    part, _ = counter.taken()
    assert part < 0.45 * full
    for old, new in zip(first.chunks[:5], changed.chunks[:5], strict=True):
        assert torch.equal(old.latent, new.latent)
    assert relative(changed.chunks[5].latent, first.chunks[5].latent) > 1e-3
    again = run(engine, PROMPTS)
    assert counter.taken() == (0, 0)
    assert torch.equal(again.latents, first.latents)
    engine.cache.clear()
    assert relative(run(engine, [*PROMPTS[:5], "something else"]).latents, changed.latents) < 1e-5


def test_an_undrained_chain_costs_one_run(counter):
    engine = tiny_engine()
    run(engine, PROMPTS)
    whole, _ = counter.taken()
    engine.cache.clear()
    state = engine.begin(**SIZE)
    for prompt in PROMPTS:
        state = engine.extend(state, prompt, drain=False)
    engine.drain(state)
    chain, _ = counter.taken()
    assert chain <= 1.05 * whole


def test_pages_are_made_again_one_by_one_with_the_same_bits(counter):
    engine = tiny_engine()
    state = run(engine, PROMPTS[:4])
    engine.cache.frontiers.clear()
    engine.cache.chunks.clear()
    counter.taken()
    kept = engine.extend(state, "next")
    _, with_pages = counter.taken()
    engine.cache.clear()
    rebuilt = engine.extend(state, "next")
    _, without = counter.taken()
    assert without - with_pages == 3, "the last chunk's page is not made before it is read"
    assert torch.equal(rebuilt.latents, kept.latents)


def test_rewind_forks_anywhere():
    engine = tiny_engine()
    whole = run(engine, PROMPTS)
    back = whole.at(3)
    assert [c.prompt for c in back.chunks] == PROMPTS[:3] and whole.at(6) is whole
    assert relative(engine.extend(back, PROMPTS[3:], 3, handoff="continuous").latents, whole.latents) < 1e-5
    fork = engine.extend(back, "fork", handoff="continuous")
    assert not fork.notes and torch.equal(fork.latents[:, :, :18], whole.latents[:, :, :18])
    engine.cache.clear()
    fallback = engine.extend(back, "fork", handoff="continuous")
    assert "not remembered" in fallback.notes[-1]
    with pytest.raises(MagiError, match="cannot go back to 9"):
        whole.at(9)


def test_other_settings_or_weights_fall_back_to_a_clean_handoff_and_say_so():
    engine = tiny_engine()
    state = run(engine, PROMPTS[:3])
    more_steps = engine.extend(state, "x", handoff="continuous", settings=state.settings.with_changes(steps=16))
    assert "steps was 8, is 16" in more_steps.notes[-1]
    other = engine.copy(fingerprint="another model")
    assert "other weights" in other.extend(state, "x", handoff="continuous").notes[-1]
    undrained = engine.extend(state, "y", 2, drain=False)
    assert len(undrained.pending) == 2
    finished = other.extend(undrained, "z")
    assert [c.prompt for c in finished.chunks] == [*PROMPTS[:3], "y", "y", "z"]


@pytest.mark.parametrize("distill", [False, True], ids=["base", "distill"])
@pytest.mark.parametrize("way", [{}, *WAYS], ids=["clean", "continuous", "undrained"])
@pytest.mark.parametrize("chunks", [1, 2, 4])
def test_the_cost_is_known_before(counter, distill, way, chunks):
    engine = tiny_engine(distill)
    counter = Counter(engine) if distill else counter
    state = run(engine, PROMPTS[:5])
    counter.taken()
    extension = engine.plan(state, "next", chunks, **way)
    *_, _last = engine.run(extension)
    spent, _ = counter.taken()
    assert spent == extension.cost.total and extension.cost.pages <= chunks, "a page for every chunk but the last"


def test_streaming_hands_out_every_chunk_as_it_becomes_clean():
    engine = tiny_engine()
    seen = [len(state.chunks) for state in engine.stream(engine.begin(**SIZE), PROMPTS[:3], 3)]
    assert seen == [1, 2, 3]


def test_after_an_interrupt_the_finished_stages_are_not_done_again(counter):
    engine = tiny_engine()
    run(tiny_engine(), PROMPTS)
    full, _ = counter.taken()
    finished = []
    with pytest.raises(Cancelled) as caught:
        engine.extend(engine.begin(**SIZE), PROMPTS, 6, on_chunk=finished.append, cancelled=lambda: len(finished) == 3)
    before, _ = counter.taken()
    assert len(caught.value.state.chunks) == 3
    again = run(engine, PROMPTS)
    after, _ = counter.taken()
    assert before + after < 1.15 * full
    assert torch.equal(again.latents[:, :, :18], caught.value.state.latents)


def test_an_interrupt_loses_no_chunk_in_flight():
    engine = tiny_engine()
    undrained = engine.extend(engine.begin(**SIZE), PROMPTS[:3], 3, drain=False)
    other = engine.copy(fingerprint="another model")
    for one in (engine, other):
        with pytest.raises(Cancelled) as caught:
            one.extend(undrained, "x", cancelled=lambda: True)
        kept = caught.value.state
        assert [c.prompt for c in engine.drain(kept).chunks] == PROMPTS[:3] and not kept.notes


def test_memory_is_bounded_and_observable():
    engine = tiny_engine()
    run(engine, PROMPTS)
    stats = engine.cache.stats
    assert stats["chunks"].entries == 6 and stats["frontiers"].entries == 6 and stats["pages"].entries >= 5
    engine.cache.pages.resize(stats["pages"].bytes // stats["pages"].entries)
    assert engine.cache.pages.stats.entries == 1
    engine.cache.clear()
    assert all(s.entries == s.bytes == 0 for s in engine.cache.stats.values())
