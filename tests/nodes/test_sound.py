"""Sound goes from a given VIDEO through the state to what is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.video import read_video
from tests.unit.video.sounds import RATE, beeps, flashing, starts

SMALL = {"steps": 4, "width": 32, "height": 32}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return flashing(tmp_path / "a.mkv", 2, sound="flac")


@pytest.fixture
def encode(run: Any, vae: Any) -> Any:
    return lambda video, **how: run("MagiVAEEncode", vae=vae, video=video, width=32, height=32, **how)


@pytest.fixture
def continued(run: Any, engine: Any, prompt: Any) -> Any:
    def sample(prefix: Any, **how: Any) -> Any:
        return run("MagiChunkSampler", model=engine, conditioning=prompt("red"), prefix=prefix, **SMALL | how)

    return sample


def from_file(path: Path, **part: float) -> Any:
    from comfy_api.latest import InputImpl

    return InputImpl.VideoFromFile(str(path), **part)


def in_memory(frames: int, audio: Any, fps: int = 24) -> Any:
    from comfy_api.latest import InputImpl, Types

    parts = Types.VideoComponents(images=torch.rand(frames, 32, 32, 3), frame_rate=fps, audio=audio)
    return InputImpl.VideoFromComponents(parts)


def audio(seconds: int) -> dict[str, Any]:
    return {"waveform": beeps(seconds)[None], "sample_rate": RATE}


def test_a_given_file_is_heard_in_the_decoded_video(run, vae, encode, continued, file) -> None:
    made = continued(encode(from_file(file)), chunks=1)
    _, video = run("MagiVAEDecode", vae=vae, state=made)
    heard = video.get_components().audio
    assert heard["waveform"].shape == (1, 2, 3 * RATE) and starts(heard["waveform"][0]) == [0, 1]


def test_a_given_video_in_memory_is_heard_and_what_fills_it_up_is_not_shown(run, vae, encode, continued) -> None:
    made = continued(encode(in_memory(22, audio(1))))  # 24 frames: two are filled up in front
    frames, video = run("MagiVAEDecode", vae=vae, state=made)
    assert len(frames) == made.state.frames and made.state.frames % 24 == 22
    assert starts(video.get_components().audio["waveform"][0]) == [0]


def test_latents_that_another_node_has_cut_are_shown_whole(encode, continued) -> None:
    given = encode(in_memory(22, audio(1)))
    assert continued(given | {"samples": given["samples"][:, :, 1:]}).state.frames % 24 == 0


def test_a_file_holds_the_sound(run, vae, encode, continued, file) -> None:
    video = run("MagiDecodeToFile", vae=vae, state=continued(encode(from_file(file))))
    read = read_video(video.path, sound=True)
    assert len(read.frames) == 72 and starts(read.sound.samples) == pytest.approx([0, 1], abs=0.011)


def test_audio_is_laid_over_the_whole(run, vae, encode, continued, file) -> None:
    made = continued(encode(from_file(file)))
    _, video = run("MagiVAEDecode", vae=vae, state=made, audio=audio(10))
    assert starts(video.get_components().audio["waveform"][0]) == [0, 1, 2]
    path = run("MagiDecodeToFile", vae=vae, state=made, audio=audio(1)).path
    sound = read_video(path, sound=True).sound
    assert sound.seconds == 3 and starts(sound.samples) == pytest.approx([0], abs=0.011)


def test_two_sounds_at_once_are_refused(run, vae, encode, continued, file) -> None:
    two = {"waveform": beeps(1).expand(2, -1, -1), "sample_rate": RATE}
    with pytest.raises(MagiError, match="this one holds 2 sounds"):
        run("MagiVAEDecode", vae=vae, state=continued(encode(from_file(file))), audio=two)


def test_only_the_part_that_was_cut_out_is_read(encode, file) -> None:
    prefix = encode(from_file(file, start_time=0.5, duration=1.0))
    assert prefix["samples"].shape[2] == 6
    assert starts(prefix["magi_sound"]["waveform"][0]) == [0.5]


def test_another_frame_rate_leaves_the_sound_out_and_says_so(encode, continued, file, said) -> None:
    texts = said
    made = continued(encode(from_file(file)), fps=12.0)
    assert made.state.sound is None and any("Use one frame rate in Magi VAE Encode" in text for text in texts())


def test_reading_a_file_is_told_and_stops_at_an_interrupt(encode, file, said, monkeypatch) -> None:
    import comfy.model_management as management

    encode(from_file(file))
    assert "reading the video: 24 pictures" in said()
    monkeypatch.setattr(management, "interrupted", True)
    with pytest.raises(management.InterruptProcessingException):
        encode(from_file(file))


def test_memory_accounting_sees_the_sound(encode, continued, file) -> None:
    made = continued(encode(from_file(file)))
    assert any(tensor is made.state.sound.kept for tensor in made.tensors)


def test_frames_with_opacity_or_a_little_outside_are_taken(run, vae, said) -> None:
    frames = torch.full((4, 32, 32, 4), 1.1)
    assert run("MagiVAEEncode", vae=vae, image=frames, width=32, height=32)["samples"].shape[2] == 1
    assert "were cut to 0..1" in said()[-1] and "laid on white" in said()[-1]
    run("MagiVAEEncode", vae=vae, image=torch.rand(1, 32, 32, 1), width=32, height=32)


def test_frames_that_no_machine_holds_are_not_decoded(run, vae, part, encode, continued, monkeypatch) -> None:
    made = continued(encode(in_memory(24, None)))
    monkeypatch.setattr(part("vae_decode"), "physical_memory", lambda: 48 * 32 * 32 * 12 - 1)
    with pytest.raises(MagiError, match="48 frames of 32x32 take .* Magi Decode to File"):
        run("MagiVAEDecode", vae=vae, state=made)
