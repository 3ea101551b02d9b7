"""A sound that is read while it is written is the same as one that is read whole, and takes no room."""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np
import pytest
import torch

from magi_core.errors import MagiError
from magi_core.video import read_video, sound_stream
from magi_core.video.recording import VideoRecording
from magi_core.video.sound_file import read_sound
from magi_core.video.sound_stream import SoundStream
from tests.unit.video.sounds import flashing, sound_file, starts

PIECE = 1024
BLACK = torch.zeros(24, 64, 64, 3, dtype=torch.uint8)


def pieces(sound, seconds: int) -> torch.Tensor:
    firsts = range(-PIECE, seconds * sound.rate, PIECE)
    return torch.cat([sound.between(first, first + PIECE) for first in firsts], dim=1)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.wav", "pcm_s16le", 44_100), ("a.flac", "flac", 96_000), ("a.mp3", "mp3", 22_050), ("a.m4a", "aac", 48_000)],
)
def test_pieces_are_what_is_read_whole_and_then_silence(tmp_path, name, codec, rate):
    path = sound_file(tmp_path / name, codec, 2, rate)
    stream, whole = SoundStream(path, seconds=Fraction(3)), read_sound(path, seconds=Fraction(3))
    assert (stream.rate, stream.channels) == (whole.rate, whole.channels)
    assert pieces(stream, 4).equal(pieces(whole, 4))
    assert not stream.note


def test_floats_that_are_no_sound_are_made_one(tmp_path):
    values = np.tile(np.array([np.nan, np.inf, -np.inf, 1e30, 0.5]), 9600)
    form = struct.pack("<IHHIIHH", 16, 3, 1, 48_000, 384_000, 8, 64)
    head = b"RIFF" + bytes(4) + b"WAVEfmt " + form + b"data" + struct.pack("<I", values.nbytes)
    (tmp_path / "a.wav").write_bytes(head + values.tobytes())
    stream = SoundStream(tmp_path / "a.wav", seconds=Fraction(1))
    assert stream.between(0, 5)[0].tolist() == pytest.approx([0, 1, -1, 1, 0.5], abs=1e-4)
    with VideoRecording(tmp_path / "a.mp4", width=64, height=64, fps=24, sound=stream) as recording:
        recording.write(BLACK)
    assert read_video(tmp_path / "a.mp4", sound=True).sound.seconds == 1


def test_a_sound_that_begins_late_stays_late(tmp_path):
    path = flashing(tmp_path / "a.mkv", 2, sound="flac", late=Fraction(1, 4))
    assert starts(pieces(SoundStream(path, seconds=Fraction(2)), 2)) == pytest.approx([0.27, 1.27], abs=0.01)


def test_what_lies_before_is_read_again(tmp_path):
    stream = SoundStream(sound_file(tmp_path / "a.flac", "flac", 3), seconds=Fraction(3))
    late, early = stream.between(100_000, 101_000), stream.between(0, 1000)
    assert early.equal(stream.between(0, 1000)) and late.equal(stream.between(100_000, 101_000))


def test_no_more_is_held_than_a_moment(tmp_path):
    stream = SoundStream(sound_file(tmp_path / "a.flac", "flac", 30), seconds=Fraction(30))

    def held() -> int:
        return sum(block.samples.nbytes for block in stream._near)

    for first in range(0, 30 * stream.rate, PIECE):
        stream.between(first, first + PIECE)
        assert held() < 100_000
    stream.between(0, PIECE)
    stream.between(29 * stream.rate, 29 * stream.rate + PIECE)  # what lies between is read, and let go
    assert held() < 100_000


@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: path.write_bytes(bytes(1000))])
def test_a_file_that_changes_meanwhile_leaves_a_silent_video_and_a_note(tmp_path, change):
    path = sound_file(tmp_path / "a.flac", "flac", 2)
    stream = SoundStream(path, seconds=Fraction(2))
    change(path)
    with VideoRecording(tmp_path / "a.mp4", width=64, height=64, fps=24, sound=stream) as recording:
        recording.write(BLACK)
    assert starts(read_video(tmp_path / "a.mp4", sound=True).sound.samples) == []
    assert "silent from 0.0 s on" in stream.note and "a.flac" in stream.note


def test_a_file_that_fails_in_the_middle_is_silent_from_there(tmp_path, monkeypatch):
    path = sound_file(tmp_path / "a.flac", "flac", 3)
    stream, read = SoundStream(path, seconds=Fraction(3)), sound_stream.sound_blocks

    def failing(*given, **how):
        for block in read(*given, **how):
            if block.position > 48_000:
                raise MagiError("the disk is gone")
            yield block

    monkeypatch.setattr(sound_stream, "sound_blocks", failing)
    stream._begin()
    assert starts(pieces(stream, 3)) == pytest.approx([0.02, 1.02], abs=0.01) and "the disk is gone" in stream.note


def test_a_file_without_sound_is_refused(tmp_path):
    with VideoRecording(tmp_path / "a.mp4", width=64, height=64, fps=24) as recording:
        recording.write(BLACK)
    with pytest.raises(MagiError, match="no sound track that is read here"):
        SoundStream(tmp_path / "a.mp4", seconds=Fraction(1))
