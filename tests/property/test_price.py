"""What a plan says an extend will cost is what running it spends, whatever was made and forgotten before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from magi_core.cache.engine_cache import EngineCache
from magi_core.dit import DiT
from magi_core.host import Alone
from magi_core.state import SamplerState
from magi_core.story.chunk import ChunkSpec
from tests.property.bounded import bounded
from tools.small_models import tiny_dit, tiny_engine

SIZE = {"width": 16, "height": 16}
SCHEDULE = {"steps": 3, "window": 3, "kv_ranges": (4, 3, 2)}
LARGE = {"clean_kv_range": 3}
LONGEST = 9
SPECS = st.builds(
    ChunkSpec,
    st.sampled_from(["red", "blue", ""]),
    seed_offset=st.sampled_from([0, 0, 1]),
    transition=st.sampled_from(["continue", "continue", "continue", "cut", "new_shot"]),
) | st.builds(
    ChunkSpec, st.sampled_from(["red", "blue"]), kv_ranges=st.sampled_from([None, (2, 1, 1)]), echo=st.booleans()
)
STORY = st.lists(SPECS, min_size=1, max_size=5)
HANDOFFS = st.sampled_from(["clean", "continuous"])
STRENGTHS = st.lists(st.sampled_from([0, 0, 0.3, 0.6, 1]), min_size=5, max_size=5)
WHICH = st.integers(0, 5)


@dataclass
class Counter:
    """Chunk-forwards of the transformer, those of pages that were made again apart."""

    chunks: int = 0

    def __call__(self, _module: DiT, args: tuple, _kwargs: dict) -> None:
        self.chunks += args[1].shape[1]


class Small(Alone):
    """A host with room for all of the weights beside the run, and so much more for pages, or not."""

    whole, left = True, None

    def fits(self, need: int) -> bool:
        return self.whole

    def spare(self, need: int) -> int | None:
        return self.left if self.whole else 0


class Prices(RuleBasedStateMachine):
    """Stories are rendered, edited and gone on with, pages and chunks forgotten; every extend is priced first."""

    def __init__(self, distill: bool, device_bytes: int | None, host_bytes: int = 0, **settings: object) -> None:
        super().__init__()
        cache = EngineCache(device_bytes=device_bytes, host_bytes=host_bytes)
        self.engine = tiny_engine(distill, **SCHEDULE | settings).copy(cache=cache, host=Small())
        self.counter = Counter()
        self.hook = self.engine.dit.register_forward_pre_hook(self.counter, with_kwargs=True)
        self.states: list[SamplerState] = [self.engine.begin(**SIZE)]
        self.stories: list[list[ChunkSpec]] = []

    def _extend(self, state: SamplerState, story: list[ChunkSpec], **how) -> None:
        if state.next_chunk + len(story) > LONGEST:
            return
        extension = self.engine.plan(state, story, **how)
        self.counter.chunks = 0
        *_, made = self.engine.run(extension)
        assert self.counter.chunks == extension.cost.total
        kinds = {fate.index: fate.kind for fate in extension.chunks}
        kept = [index for index, kind in kinds.items() if kind == "kept"]
        assert kept[: state.finished] == list(range(state.finished)) and (
            "source" in how or len(kept) == state.finished
        )
        if "computed" not in kinds.values() and how.get("drain", True):  # what stays in flight goes on a stage
            assert extension.cost.total == 0
        assert bool(made.pending) == (not how.get("drain", True)), "what is left in flight is asked for, never found"
        assert [record.key for record in made.chunks] == [fate.key for fate in extension.chunks[: made.finished]]
        self.states.append(made)

    @rule(which=WHICH, story=STORY, handoff=HANDOFFS, drain=st.booleans())
    def extend(self, which, story, handoff, drain):
        self._extend(self.states[-1 - which % len(self.states)], story, handoff=handoff, drain=drain)

    @rule(which=WHICH, of=WHICH, story=STORY, strengths=STRENGTHS, handoff=HANDOFFS, drain=st.booleans())
    def second_pass(self, which, of, story, strengths, handoff, drain):
        state, source = (self.states[-1 - place % len(self.states)] for place in (which, of))
        room = source.finished - state.next_chunk
        again = [replace(spec, strength=strength) for spec, strength in zip(story, strengths, strict=False)][:room]
        if room > 0:
            self._extend(state, again, source=source, handoff=handoff, drain=drain)

    @rule(story=STORY)
    def render(self, story):
        self.stories.append(story)
        self._extend(self.states[0], story)

    @rule(which=WHICH, place=WHICH, spec=SPECS)
    def edit(self, which, place, spec):
        if self.stories:
            story = list(self.stories[-1 - which % len(self.stories)])
            story[place % len(story)] = spec
            self.render(story)

    @rule(which=WHICH)
    def revert(self, which):
        if self.stories:
            self._extend(self.states[0], self.stories[-1 - which % len(self.stories)])

    @rule(name=st.sampled_from(["pages", "chunks", "frontiers"]))
    def forget(self, name):
        getattr(self.engine.cache, name).clear()

    @rule(chunks=st.integers(1, 6))
    def forget_all_but_some_chunks(self, chunks):
        cache = self.engine.cache.chunks
        for key in list(cache._entries)[:-chunks]:  # states hold them, so that no want of room makes it forget them
            cache.pop(key)

    def teardown(self) -> None:
        self.hook.remove()


class StreamedPrices(Prices):
    """Where pages are streamed now and then."""

    @rule()
    def room_comes_and_goes(self):
        self.engine.host.whole = not self.engine.host.whole

    @rule(pages=st.integers(0, 4))
    def there_is_room_for_so_many_pages(self, pages):
        self.engine.host.left = pages * _page_bytes()


@cache
def _page_bytes() -> int:
    engine = tiny_engine(**SCHEDULE)
    engine.extend(engine.begin(**SIZE), "red", 2)
    pages = engine.cache.pages.stats
    return pages.bytes // pages.entries


def _prices(
    distill: bool, device_bytes: int | None, machine: type[Prices] = Prices, host_bytes: int = 0, **more: object
) -> None:
    tiny_dit.cache_clear()
    run_state_machine_as_test(
        lambda: machine(distill, device_bytes, host_bytes, **more), settings=bounded(40, stateful_step_count=12)
    )


def test_the_price_is_what_is_spent_with_room_for_every_page() -> None:
    _prices(False, None)


def test_the_price_is_what_is_spent_with_room_for_two_pages() -> None:
    _prices(True, 2 * _page_bytes())


def test_the_price_is_what_is_spent_with_no_room_for_pages() -> None:
    _prices(False, 0)


def test_the_price_is_what_is_spent_where_pages_wait_on_the_host() -> None:
    _prices(False, _page_bytes(), host_bytes=2 * _page_bytes())


def test_the_price_is_what_is_spent_where_pages_are_streamed_now_and_then() -> None:
    _prices(False, None, StreamedPrices, host_bytes=3 * _page_bytes())


def test_the_price_is_what_is_spent_where_pages_are_made_together() -> None:
    _prices(True, None, **LARGE)


def test_the_price_of_a_draft_is_what_is_spent() -> None:
    _prices(False, None, steps=6, draft="strong")


def test_the_price_of_a_light_draft_with_room_for_two_pages_is_what_is_spent() -> None:
    _prices(True, 2 * _page_bytes(), steps=9, draft="light")
