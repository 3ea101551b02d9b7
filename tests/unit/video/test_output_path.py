"""Names of files that every system can have."""

from __future__ import annotations

import os

import pytest

from magi_core.errors import MagiError
from magi_core.video.output_path import check_name, check_output


@pytest.mark.parametrize("name", ["ball", "scene 1/ball", "片段", "v1.2 final", "console", "com10", "%year%", "./a"])
def test_ordinary_names_pass(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("take 12:30", "use 'take 12-30'"),
        ('a "b"/c?', "use 'a -b-/c-'"),
        ("a\nb", "use 'a-b'"),
        ("scene/CON", "use 'my CON'"),
        ("nul.magi", "use 'my nul.magi'"),
        (r"x\lpt1", "use 'my lpt1'"),
        ("scene. /ball", "use 'scene'"),
        ("ball.", "use 'ball'"),
    ],
)
def test_what_windows_cannot_have_is_refused_with_another_name(name: str, advice: str) -> None:
    with pytest.raises(MagiError) as error:
        check_name(name)
    assert str(error.value).endswith(advice)


def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(MagiError, match="is a pipe"):
        check_output(tmp_path / "a.mp4", ".mp4", "videos")
