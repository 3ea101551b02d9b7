"""`info` says what is in a take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from magi_core import load_state
from magi_core.state import Autosave
from tools.small_models import tiny_engine


def test_info_says_what_is_in_a_take(command, take, capsys):
    story = "0: green\n1-2 [reroll 2]: white\n3 [cut]:\n"
    Path("more.txt").write_text(story, encoding="utf-8")
    assert command("extend", take, "--storyboard", "more.txt", "--no-drain") == 0
    capsys.readouterr()
    assert command("info", take) == 0
    lines = capsys.readouterr().out.splitlines()
    finished, pending = load_state(take).finished, len(load_state(take).pending)
    assert finished + pending == 6
    assert lines[0] == f"take.magi: {finished} chunks, {24 * finished} frames, {finished}.00 s at 24 fps, 32x32, seed 5"
    assert lines[1] == "model: base, 2 layers of 32, weights tiny base, VAE unknown"
    assert "settings: 8 steps, window 4, KV ranges 5, 4, 3, 2, guidance text 7.5, 0 and previous 1.5, 1" in lines[2]
    assert "  0: red · seed 5" in lines and "  2: green · seed 5" in lines
    flying = f" (in flight from chunk {finished} on)"
    assert f"  3-4 [reroll 2]: white · seed 7{flying if finished < 5 else ''}" in lines
    assert f"  5 [cut]: (no prompt) · seed 5{flying}" in lines


def test_info_tells_what_was_given_and_noted(command, capsys):
    engine = tiny_engine()
    begun = engine.begin(width=32, height=32, fps=23.976, prefix=torch.randn(1, 16, 8, 4, 4))
    replace(begun, notes=("cropped 64x32 to 32x32",)).save("given.magi")
    with Autosave("broken.magi") as saved:
        saved.write(engine.extend(begun, "red"))
        assert command("info", "broken.magi") == 0
        assert "which a run that was broken off left" in capsys.readouterr().out
    assert command("info", "given.magi") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "given: 32 frames of an image or a video" in lines and "no chunks yet" in lines
    assert "note: cropped 64x32 to 32x32" in lines and "23.976 fps" in lines[0]
    assert command("info", "given.magi", "--sheet", "s.png") == 2
    assert "has no finished chunks to show" in capsys.readouterr().err
    assert command("info", "broken.magi") == 0
    assert "  1: red · seed 0" in capsys.readouterr().out.splitlines()


def test_info_draws_a_contact_sheet_with_the_vae_alone(command, take, monkeypatch, capsys):
    monkeypatch.setattr("magi_core.vae.load_vae", lambda *_, **__: tiny_engine().vae)
    assert command("info", take, "--sheet", "sheets/two.png") == 0
    assert command("extend", take, "--prompt", "green") == 0
    assert command("info", take, "--sheet", "three.png") == 0
    assert Image.open("three.png").height > Image.open("sheets/two.png").height + 100
    assert "wrote three.png" in capsys.readouterr().out
    assert command("info", take, "--sheet", "s.jpg") == 2
    assert command("info", take, "--sheet", "s.png", "--model", "nowhere") == 2
    assert "there is no model 'nowhere'" in capsys.readouterr().err
