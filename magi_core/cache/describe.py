"""What an engine remembers, in words."""

from __future__ import annotations

from magi_core.cache.engine_cache import MIB, EngineCache
from magi_core.state.describe import counted


def cache_in_words(cache: EngineCache) -> list[str]:
    """What an engine remembers, a line for each of its caches."""
    return [
        f"remembered {name}: {stats.entries}, {stats.bytes / MIB:.1f} of {stats.budget / MIB:.0f} MiB, "
        f"{stats.hits} of {counted(stats.hits + stats.misses, 'lookup')} found"
        for name, stats in cache.stats.items()
    ]
