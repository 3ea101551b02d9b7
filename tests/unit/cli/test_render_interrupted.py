"""Ctrl-C during `render` keeps the finished chunks and says how to go on."""

from __future__ import annotations

import os
import signal

from tests.unit.cli.stand_in import StandIn, greys


def test_ctrl_c_writes_the_finished_chunks(render, tmp_path, capsys):
    before = signal.getsignal(signal.SIGINT)
    engine = StandIn(interrupt_in_chunk=2)
    assert render(*"abcd", "--contact-sheet", "s.png", engine=engine) == 130
    assert greys() == [0] * 24 + [1] * 24
    assert (tmp_path / "s.png").exists()
    printed = capsys.readouterr()
    assert "wrote a.mp4: 2 of 4 chunks, 48 frames" in printed.out
    assert "stopping" in printed.err
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_in_the_first_chunk_writes_nothing(render, capsys):
    assert render("a", "b", engine=StandIn(interrupt_in_chunk=0)) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert os.listdir() == ["model"]


def test_ctrl_c_twice_while_decoding_keeps_the_whole_chunks_until_then(render, capsys):
    assert render(*"abc", engine=StandIn(interrupt_decoding=1)) == 130
    assert greys() == [0] * 24
    printed = capsys.readouterr()
    assert "1 of 3 chunks, 24 frames" in printed.out and "Ctrl-C again: stop at once" in printed.err


def test_a_stopped_video_says_how_to_go_on(render, capsys):
    assert render("a", "it's b", "--chunks", 4, engine=StandIn(interrupt_in_chunk=2)) == 130
    assert """render 'it'"'"'s b' --chunks 2 --video a.mp4 --model model""" in capsys.readouterr().err


def test_ctrl_c_before_sampling_is_no_traceback(render, capsys, monkeypatch):
    engine = StandIn()
    monkeypatch.setattr(engine, "encode_prompt", lambda prompt: (_ for _ in ()).throw(KeyboardInterrupt))
    assert render("a", engine=engine) == 130
    assert "Traceback" not in capsys.readouterr().err
