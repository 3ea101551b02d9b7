"""What reaches the screen: nothing that a terminal obeys, no more of the user's input than helps; what counts as a lack
of memory."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi_core.cli.main import main
from magi_core.cli.say import say
from magi_core.errors import BIDI, ECHO_LIMIT, MagiError, echo, is_out_of_memory, printable

REPOSITORY = Path(__file__).parents[2]
CONTROLS = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *BIDI, "\u2028", "\u2029"} - {"\n", "\t"}


@given(st.text())
def test_what_is_printed_acts_on_no_terminal(text):
    shown = printable(text)
    assert not CONTROLS & set(shown)
    assert printable(shown) == shown, "what is printable stays as it is"
    shown.encode("utf-8")


def test_escapes_are_shown_and_other_writing_is_left_alone():
    assert printable("\x1b]0;pwned\x07\x1b[31mred") == "\\x1b]0;pwned\\x07\\x1b[31mred"
    assert printable("a\u202eb\x9b1m\ud800") == "a\\u202eb\\x9b1m\\ud800"
    for text in ("two\nlines\twide", "日本語", "👩‍👩‍👧", "שלום", "می‌خواهم"):
        assert printable(text) == text


@given(st.one_of(st.text(min_size=500), st.lists(st.text(min_size=50), min_size=50), st.integers(min_value=10**5000)))
def test_echoes_are_short(value):
    assert len(echo(value)) <= ECHO_LIMIT and len(echo(value, quoted=False)) <= ECHO_LIMIT


def test_echoes_of_ordinary_input_are_whole():
    assert echo("it's") == '"it\'s"' and echo(3.5) == "3.5" and echo(None) == "None"
    assert echo(Path("a b.png")) == "a b.png" and echo(OSError("no\nroom")) == "no room"
    assert echo("a tag", quoted=False) == "a tag"
    long = echo("start" + "x" * 1000 + "end")
    assert long.startswith("'start") and long.endswith("end'") and "..." in long


def test_messages_are_safe_and_do_not_repeat_long_names():
    message = str(MagiError(f"there is no file \x1b[2J{'a' * 5000}.png: check the path"))
    assert "\\x1b[2J" in message and len(message) < 300 and message.endswith(".png: check the path")
    assert str(MagiError(message)) == message


def test_the_command_line_prints_no_escapes(capsys, tmp_path):
    say("\x1b[31mred")
    assert main(["info", str(tmp_path / "\x1b]0;title\x07.magi")]) == 2
    assert main(["render", "a", "--device", "\x1b[2J" + "long " * 1000]) == 2
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err and "\\x1b]0;title\\x07" in shown.err
    assert max(map(len, shown.err.splitlines())) < 700


@pytest.mark.parametrize("folder", ["magi_core", "nodes"])
def test_there_is_one_door_for_what_is_printed(folder):
    found = {
        file.relative_to(REPOSITORY).as_posix()
        for file in (REPOSITORY / folder).rglob("*.py")
        if re.search(r"(?<![\w.])print\(|sys\.std(out|err)\.write", file.read_text("utf-8"))
    }
    assert found <= {"magi_core/cli/say.py"}
    logged = [
        line
        for file in (REPOSITORY / folder).rglob("*.py")
        for line in file.read_text("utf-8").splitlines()
        if re.search(r"\blog(?:ging)?\.(?:info|warning|error)\(.*%s", line)
    ]
    assert all("printable(" in line for line in logged), logged


def test_no_message_quotes_input_at_full_length():
    """`{value!r}` in a message has no limit; `echo` has."""
    for file in [*(REPOSITORY / "magi_core").rglob("*.py"), *(REPOSITORY / "nodes").rglob("*.py")]:
        text = file.read_text("utf-8")
        assert not re.search(r"MagiError\([^)]*!r\}", text), file


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "VRAM grow failed: 113246208 bytes",  # ComfyUI's dynamic VRAM, where a layer's weights find no room
        "HostBuffer allocation failed",
    ],
)
def test_memory_that_runs_out_is_known_whoever_says_so(said):
    assert is_out_of_memory(RuntimeError(said))
    assert not is_out_of_memory(ValueError(said))


def test_other_errors_are_no_lack_of_memory():
    assert not is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"))
