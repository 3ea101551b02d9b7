"""Renders killed at random moments lose nothing that was finished, leave nothing behind and go on as they would have.

More of it: `python -m tools.faults --kills 200`.
"""

from __future__ import annotations

from tools.faults.kills import kills

KILLS, CHUNKS = 10, 8


def test_killed_renders_lose_nothing_and_go_on_bit_for_bit(tmp_path):
    results = list(kills(KILLS, CHUNKS, tmp_path, seed=3))
    assert [kill.faults for kill in results] == [()] * KILLS
    assert [kill.apart for kill in results] == [0.0] * KILLS
    assert sum(kill.saved > 0 for kill in results) > KILLS // 2
    assert {"between chunks", "in the last rewrite"} <= {kill.moment for kill in results}
