"""What is asked of a chunk has to make sense by itself."""

from __future__ import annotations

import pytest

from magi_core.errors import MagiError
from magi_core.story.storyboard import ChunkSpec


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"transition": "wipe"}, "unknown transition 'wipe'"),
        ({"kv_ranges": ()}, "KV ranges count the chunk itself"),
        ({"transition": "cut", "kv_ranges": (1,)}, "not both"),
        ({"transition": "cut", "echo": True}, "give .echo. to the chunks after it"),
        ({"echo": 1}, "echo is true or false"),
        ({"seed_offset": 1.5}, "a reroll is a whole number"),
        ({"special_tokens": ("GLITTER",)}, "no special token 'GLITTER'"),
    ],
)
def test_chunks_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(MagiError, match=message):
        ChunkSpec("red", **fields)
