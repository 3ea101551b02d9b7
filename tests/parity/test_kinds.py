"""The folder of goldens is complete, and nothing in it is of a kind that no test compares."""

from __future__ import annotations

from tests.parity.conftest import KINDS, found_kinds


def test_every_kind_is_found_and_known():
    assert found_kinds() == set(KINDS)
