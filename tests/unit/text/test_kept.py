"""Embeddings of prompts are kept: a prompt that was read before needs no text encoder."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from magi_core.text import TextEncoder, kept, load_text_encoder, t5


@pytest.fixture
def encoder(bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Opens the same small encoder again and again, as if it were large."""
    monkeypatch.setattr(t5, "LARGE", 0)
    monkeypatch.setenv("MAGI_CACHE", str(tmp_path))
    return lambda **how: load_text_encoder(bin_folder, **how)


def was_read(encoder: TextEncoder) -> bool:
    return "model" in vars(encoder.states)


def test_a_prompt_that_was_read_before_needs_no_weights(encoder) -> None:
    first, second = encoder(), encoder()
    assert not was_read(first)
    made = first.encode("a red ball rolls").tokens
    again = second.encode("A red  ball rolls").tokens  # the same after cleaning
    assert was_read(first) and not was_read(second) and torch.equal(made, again)
    second.encode("a blue ball rolls")
    assert was_read(second)


@pytest.mark.parametrize("how", [{"dtype": torch.bfloat16}, {"max_length": 3}])
def test_another_encoder_reads_for_itself(encoder, how) -> None:
    encoder().encode("a red ball rolls")
    other = encoder(**how)
    other.encode("a red ball rolls")
    assert was_read(other)


def test_a_small_encoder_keeps_nothing(bin_folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MAGI_CACHE", str(tmp_path))
    load_text_encoder(bin_folder).encode("a red ball rolls")
    assert not (tmp_path / "prompts").exists()


@pytest.mark.parametrize("damage", [lambda b: b[:40], lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda _b: b""])
def test_what_is_damaged_is_made_again(encoder, damage) -> None:
    made = encoder().encode("a red ball rolls").tokens
    (file,) = kept.PROMPTS.folder.iterdir()
    sound = file.read_bytes()
    file.write_bytes(damage(sound))
    again = encoder()
    assert torch.equal(again.encode("a red ball rolls").tokens, made) and was_read(again)
    assert file.read_bytes() == sound


def test_no_words_are_in_the_files(encoder) -> None:
    encoder().encode("a secret ball rolls")
    (file,) = kept.PROMPTS.folder.iterdir()
    assert b"secret" not in file.read_bytes() + file.name.encode()


def test_those_go_first_that_were_of_no_use_for_longest(encoder, monkeypatch) -> None:
    text, files = encoder(), {}
    for prompt in ("red", "green", "blue"):
        text.encode(prompt)
        (files[prompt],) = set(kept.PROMPTS.folder.iterdir()) - set(files.values())
        for file in files.values():
            os.utime(file, (0, file.stat().st_mtime - 100))
    encoder().encode("red")  # of use again
    most = 3 * max(file.stat().st_size for file in files.values())
    monkeypatch.setattr(kept, "PROMPTS", replace(kept.PROMPTS, most=most))
    text.encode("pink")
    assert [prompt for prompt, file in files.items() if not file.exists()] == ["green"]


def test_a_folder_that_cannot_be_written_costs_time_only(encoder, tmp_path: Path) -> None:
    (tmp_path / "prompts").write_text("in the way")
    assert len(encoder().encode("a red ball rolls").tokens)
