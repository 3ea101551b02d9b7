"""The sound of a video stays in step with its frames, whatever part of them is used."""

from __future__ import annotations

import wave
from fractions import Fraction

import av
import pytest
import torch

from magi_core.errors import MagiError
from magi_core.video import read_video, sound_file, write_video
from magi_core.video.recording import VideoRecording
from magi_core.video.sound import BYTES_PER_SECOND, Sound
from magi_core.video.sound_file import as_sound, read_sound
from tests.unit.video.sounds import RATE, beeps, flashes, flashing, starts
from tests.unit.video.sounds import sound_file as written


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "aac"),
        ("a.mkv", "aac"),
        ("a.mkv", "flac"),
        ("a.mov", "pcm_s16le"),
        ("a.ts", "aac"),
        ("a.mkv", "libopus"),
    ],
)
@pytest.mark.parametrize(("start", "expected"), [(0, [0, 1, 2]), (1.5, [0.5])])
def test_beeps_stay_with_their_flashes(tmp_path, name, codec, start, expected):
    video = read_video(flashing(tmp_path / name, 3, sound=codec), start=start, sound=True)
    assert flashes(video.frames) == expected
    assert starts(video.sound.samples) == pytest.approx(expected, abs=0.011)
    assert video.sound.seconds == len(video.frames) / video.fps


def test_a_sound_that_begins_late_stays_late(tmp_path):
    video = read_video(flashing(tmp_path / "a.mkv", 2, sound="flac", late=Fraction(1, 4)), sound=True)
    assert starts(video.sound.samples) == [0.25, 1.25]


def test_only_what_is_asked_for_is_decoded(tmp_path):
    path = flashing(tmp_path / "a.mkv", 8, sound="flac")
    counts = []
    video = read_video(path, start=2, seconds=1, sound=True, on_count=counts.append)
    assert len(video.frames) == 24 and video.sound.seconds == 1 and starts(video.sound.samples) == [0]
    assert counts[-1] < 24 + 12 + 24  # from the key frame before, and what the decoder is ahead


def test_reading_stops_when_told_to(tmp_path):
    class Stop(Exception):
        pass

    def stop(count):
        if count == 3:
            raise Stop

    with pytest.raises(Stop):
        read_video(flashing(tmp_path / "a.mkv", 1, sound="flac"), on_count=stop)


@pytest.mark.parametrize(
    ("name", "codec", "rate"), [("a.wav", "pcm_s16le", 44_100), ("a.flac", "flac", 96_000), ("a.mp3", "mp3", 22_050)]
)
def test_sound_files_of_any_rate(tmp_path, name, codec, rate):
    sound = read_sound(written(tmp_path / name, codec, 2, rate), seconds=Fraction(5, 2))
    assert sound.rate == min(rate, 48_000) and sound.seconds == Fraction(5, 2)
    assert starts(sound.samples, sound.rate) == pytest.approx([0, 1], abs=0.03)


def test_an_hour_takes_at_most_0_7_gigabytes(tmp_path):
    sound = read_sound(written(tmp_path / "a.wav", "pcm_s16le", 2), seconds=Fraction(3600))
    assert sound.kept.nbytes <= 3600 * BYTES_PER_SECOND <= 0.7e9
    assert starts(sound.between(0, 2 * RATE)) == pytest.approx([0, 1], abs=0.03)


def test_a_video_without_sound_has_none(tmp_path):
    write_video(tmp_path / "a.mp4", [torch.zeros(12, 64, 64, 3, dtype=torch.uint8)], 24)
    assert read_video(tmp_path / "a.mp4", sound=True).sound is None


def test_a_sound_that_cannot_be_read_leaves_the_pictures(tmp_path, monkeypatch):
    path = flashing(tmp_path / "a.mkv", 1, sound="flac")
    monkeypatch.setattr(sound_file, "FASTEST", 40_000)
    video = read_video(path, sound=True)
    assert len(video.frames) == 24 and video.sound is None and "its sound is left out" in video.notes[0]


def test_a_slow_rate_does_not_make_sound_without_end(tmp_path):
    """A second of it would be 48,000 times what the file holds."""
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 1, 0, "NONE", ""))
        file.writeframes(bytes(1_000_000))
    with pytest.raises(MagiError, match="1 samples per second"):
        read_sound(tmp_path / "a.wav", seconds=Fraction(10))


def test_a_sound_that_says_it_is_all_at_one_time_ends(tmp_path, monkeypatch):
    decoded, frames, put = [], sound_file._frames, sound_file._put

    def counted(samples, position, block):
        decoded.append(block.shape[1])
        put(samples, 0, block)

    def at_once(container, stream, on_seconds):
        while True:
            for frame in frames(container, stream, on_seconds):
                frame.pts = 0
                yield frame
            container.seek(0)

    monkeypatch.setattr(sound_file, "_put", counted)
    monkeypatch.setattr(sound_file, "_frames", at_once)
    read_sound(written(tmp_path / "a.flac", "flac", 2), seconds=Fraction(3))
    assert sum(decoded) < RATE * 70


@pytest.mark.parametrize("fps", [24, "29.97", 10])
def test_what_is_written_is_what_is_read(tmp_path, fps):
    sound = Sound(beeps(3), RATE)
    frames = torch.zeros(48, 64, 64, 3, dtype=torch.uint8)
    write_video(tmp_path / "a.mp4", [frames], fps, sound=sound)
    video = read_video(tmp_path / "a.mp4", fps=fps, sound=True)
    wanted = sound.lasting(len(frames) / video.fps)
    assert len(video.frames) == 48 and video.sound.samples.shape == wanted.samples.shape
    assert (video.sound.samples - wanted.samples).pow(2).mean().sqrt() < 0.02


def test_a_recordings_sound_has_no_seams_between_chunks_and_then_is_silent(tmp_path):
    path, tone = tmp_path / "a.mp4", torch.sin(2 * torch.pi * 440 * torch.arange(2 * RATE) / RATE)[None] * 0.4
    with VideoRecording(path, width=64, height=64, fps=24, sound=Sound(tone, RATE)) as recording:
        for chunk in range(4):
            recording.write(torch.zeros(24, 64, 64, 3, dtype=torch.uint8))
            recording.flush()
            playing = read_video(path, sound=True)
            assert len(playing.frames) == 24 * (chunk + 1)
            assert playing.sound.samples[:, 4800:40_000].abs().max() > 0.3
    heard = read_video(path, sound=True).sound.samples
    assert heard.shape == (1, 4 * RATE)
    assert (heard[:, 4800 : 2 * RATE - 2400] - tone[:, 4800:-2400]).abs().max() < 0.05
    assert heard[:, 2 * RATE + 2400 :].abs().max() < 0.01
    with av.open(str(path)) as container:
        lengths = {stream.type: float(stream.duration * stream.time_base) for stream in container.streams}
    assert lengths["audio"] == pytest.approx(lengths["video"], abs=0.05)


def test_a_fragment_that_was_dropped_takes_no_sound_with_it(tmp_path):
    frames = torch.zeros(24, 64, 64, 3, dtype=torch.uint8)
    with VideoRecording(tmp_path / "a.mp4", width=64, height=64, fps=24, sound=Sound(beeps(3), RATE)) as recording:
        recording.write(frames)
        recording.flush()
        recording.write(frames)
        recording._drop_fragment()
        for _ in range(2):
            recording.write(frames)
            recording.flush()
    assert starts(read_video(tmp_path / "a.mp4", sound=True).sound.samples) == pytest.approx([0, 1, 2], abs=0.011)


def test_lengths_of_a_sound():
    sound = Sound(torch.arange(1, 9).float()[None] / 10, 8000)
    eighth = Fraction(1, 8000)
    assert sound.since(3 * eighth).samples.shape == (1, 5)
    assert sound.lasting(10 * eighth).samples[0, -3:].tolist() == pytest.approx([0.8, 0, 0])
    assert sound.ending_at(10 * eighth).samples[0, :3].tolist() == pytest.approx([0, 0, 0.1])
    assert sound.ending_at(2 * eighth).samples[0].tolist() == pytest.approx([0.7, 0.8])
    assert sound.between(-2, 1)[0].tolist() == pytest.approx([0, 0, 0.1])
    assert sound.between(20, 22)[0].tolist() == [0, 0] and sound.between(-9, -7)[0].tolist() == [0, 0]


def test_arrays_as_sound():
    assert as_sound(torch.zeros(1, 44_100), 44_100).seconds == 1
    assert as_sound(torch.zeros(2, 96_000), 96_000).rate == 48_000
    assert as_sound(torch.ones(6, 100), 48_000).samples.eq(1).all()


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (torch.zeros(100), 48_000, "must be samples"),
        (torch.zeros(2, 100, dtype=torch.int32), 48_000, "numbers of type torch.int32"),
        (torch.full((2, 100), float("nan")), 48_000, "no sound"),
        (torch.full((2, 100), 32_000.0), 48_000, "no sound"),
        (torch.zeros(2, 100), 1, "1 samples per second"),
        (torch.zeros(2, 100), 48_000.5, "48000.5 samples per second"),
        (torch.zeros(100, 2), 48_000, "1 to 64 channels"),
    ],
)
def test_arrays_that_are_no_sound_are_refused(samples, rate, message):
    with pytest.raises(MagiError, match=message):
        as_sound(samples, rate)


def test_files_that_name_others_are_not_sounds(tmp_path):
    (tmp_path / "a.wav").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1.0,\npart.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(MagiError, match="cannot be read as a sound.*wav, flac, mp3"):
        read_sound(tmp_path / "a.wav", seconds=Fraction(1))
    with pytest.raises(MagiError, match="a folder, not a sound"):
        read_sound(tmp_path, seconds=Fraction(1))
