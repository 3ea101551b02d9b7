"""`BoundedCache` against a list that says the same thing slowly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from magi_core.cache.bounded import BoundedCache
from tests.property.bounded import bounded

KEYS = "abcdef"
OPERATIONS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(KEYS), st.integers(0, 12)),
    st.tuples(st.just("get"), st.sampled_from(KEYS)),
    st.tuples(st.just("resize"), st.integers(0, 30)),
    st.tuples(st.just("clear")),
)


class Listed:
    """Least recently used first; the size of a value is its first element."""

    def __init__(self, budget):
        self.budget, self.entries, self.hits, self.misses = budget, [], 0, 0

    def put(self, key, value):
        there = dict(self.entries).get(key)
        if there is not None:
            self._last(key, there)
        elif value[0] <= self.budget:
            self.entries.append((key, value))
            self._shrink(self.budget)

    def get(self, key):
        value = dict(self.entries).get(key)
        self.hits, self.misses = self.hits + (value is not None), self.misses + (value is None)
        if value is not None:
            self._last(key, value)
        return value

    def resize(self, budget):
        self.budget = budget
        self._shrink(budget)

    def clear(self):
        self.entries = []

    def bytes(self):
        return sum(value[0] for _, value in self.entries)

    def _last(self, key, value):
        self.entries = [entry for entry in self.entries if entry[0] != key] + [(key, value)]

    def _shrink(self, limit):
        while self.bytes() > limit:
            del self.entries[0]


@bounded(300)
@given(st.integers(0, 30), st.lists(OPERATIONS, max_size=30))
def test_it_stays_in_budget_keeps_the_first_value_and_drops_the_least_recent(budget, operations):
    cache, listed = BoundedCache(budget, lambda value: value[0]), Listed(budget)
    for number, (name, *arguments) in enumerate(operations):
        if name == "put":
            arguments[1] = (arguments[1], number)  # every value put is another one
        assert getattr(cache, name)(*arguments) == getattr(listed, name)(*arguments)
        held = dict(listed.entries)
        assert [key for key in KEYS if key in cache] == [key for key in KEYS if key in held]
        stats = cache.stats
        assert stats.bytes == listed.bytes() <= stats.budget
        assert (stats.hits, stats.misses, stats.entries) == (listed.hits, listed.misses, len(held))
    for key, value in listed.entries:
        assert cache.get(key) is value
