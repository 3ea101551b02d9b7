"""A video file that is continued gives the latents of its frames in memory, of which a chunk is held at a time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from magi_core.config import MAX_CHUNKS, VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError
from magi_core.vae import TileSettings
from magi_core.vae.given import LATENT_BYTES, given_frames, look_through
from magi_core.vae.prefix import encode_continued
from magi_core.vae.source import encode_source
from magi_core.video import files, read_video, write_video
from tests.unit.vae.small_vae import codec
from tests.unit.video.sounds import flashing

SIZE = {"width": 32, "height": 48}


def film(path: Path, count: int) -> Path:
    frames = torch.randint(0, 256, (count, 6, 8, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    write_video(path, [frames.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)], 24)
    return path


@pytest.mark.parametrize("count", [1, 2, 4, 21, 24, 27, 75])
def test_latents_and_notes_are_those_of_the_frames_in_memory(tmp_path, count):
    path, vae = film(tmp_path / "a.mp4", count), codec(tile=TileSettings(16, 16))
    read = read_video(path, size=(32, 48))
    several = read.frames if count > 1 else read.frames.expand(4, -1, -1, -1)
    given = look_through(path, **SIZE)
    latents, done = encode_continued(vae, given)
    in_memory, told = encode_continued(vae, given_frames(read.frames, **SIZE))
    assert len(given) == count and latents.equal(vae.encode(several)) and in_memory.equal(latents)
    assert given.notes == tuple(read.notes) and done == told and len(done) == (count % 4 > 0)


def test_a_part_of_it_with_its_sound(tmp_path):
    given = look_through(flashing(tmp_path / "a.mkv", 4, sound="flac"), **SIZE, start=Fraction(1), seconds=Fraction(2))
    assert len(given) == 48 and given.sound.seconds == 2
    assert encode_continued(codec(), given)[0].shape[2] == 12


def test_frames_are_let_go_chunk_by_chunk(tmp_path):
    given, vae, most = look_through(film(tmp_path / "a.mp4", 150), **SIZE), codec(), []
    encode, vae.encode = vae.encode, lambda frames: most.append(len(frames)) or encode(frames)
    encode_continued(vae, given)
    assert max(most) == 24 and sum(most) == 150


def test_reading_is_told_of_and_can_be_stopped_both_times(tmp_path):
    path, seen = film(tmp_path / "a.mp4", 30), []
    given = look_through(path, **SIZE, on_count=seen.append)
    encode_continued(codec(), given, seen.append)
    assert seen == [*range(1, 31), *range(1, 31)]


def test_a_file_that_is_shorter_now_is_refused(tmp_path):
    given = look_through(film(tmp_path / "a.mp4", 50), **SIZE)
    film(tmp_path / "a.mp4", 20)
    with pytest.raises(MagiError, match="a.mp4 was changed while it was read: 20 of 50 frames are left"):
        encode_continued(codec(), given)


def test_what_a_small_file_becomes_is_bounded(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", 50)
    monkeypatch.setattr(files, "SMALL_FILE_MEMORY", files.BESIDE + 40 * 32 * 48 * LATENT_BYTES)
    with pytest.raises(MagiError, match="a.mp4 is too long"):
        look_through(path, **SIZE)


def test_pictures_that_stay_on_for_hours_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_FRAMES", 100)
    path = film(tmp_path / "a.mp4", 20)
    with pytest.raises(MagiError, match="too long.*stay on for very long"):
        look_through(path, **SIZE, fps=240)
    assert len(look_through(film(tmp_path / "b.mp4", 120), **SIZE)) == 120


def test_a_file_without_pictures_in_the_part_is_refused(tmp_path):
    with pytest.raises(MagiError, match="ends before the part that is asked for"):
        look_through(film(tmp_path / "a.mp4", 20), **SIZE, start=Fraction(9))


def test_frames_in_memory_are_told_of_before_each_is_taken_and_can_be_stopped():
    given, vae = given_frames(torch.zeros(30, 48, 32, 3, dtype=torch.uint8), **SIZE), codec()

    def stop(count: int) -> None:
        if count == 25:
            raise KeyboardInterrupt

    vae.encode = lambda frames, encode=vae.encode: sizes.append(len(frames)) or encode(frames)
    for encode, first in ((encode_continued, 22), (encode_source, 24)):
        sizes: list[int] = []
        with pytest.raises(KeyboardInterrupt):
            encode(vae, given, stop)
        assert sizes == [first]


def test_a_source_has_whole_chunks_and_a_note_says_what_fills_the_last():
    frames = torch.randint(0, 256, (30, 48, 32, 3), dtype=torch.uint8)
    latents, notes = encode_source(codec(), given_frames(frames, **SIZE))
    filled = torch.cat([frames, frames[-1:].expand(18, -1, -1, -1)])
    assert latents.equal(encode_source(codec(), given_frames(filled, **SIZE))[0])
    assert notes == ("the last frame is repeated to fill its chunk of 24, and shown once",)


def test_a_source_of_more_chunks_than_a_take_has_is_refused_before_any_of_it_is_encoded():
    frames = torch.zeros(1, 48, 32, 3, dtype=torch.uint8).expand(MAX_CHUNKS * VIDEO_FRAMES_PER_CHUNK + 1, -1, -1, -1)
    vae = codec()
    vae.encode = lambda frames: pytest.fail("encoded")
    with pytest.raises(MagiError, match="the video is too long: a take has up to"):
        encode_source(vae, given_frames(frames, **SIZE))
