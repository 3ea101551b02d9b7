"""ComfyUI's AUDIO as a sound of the engine, and back."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from torch import Tensor

from magi_core.errors import MagiError
from magi_core.state import SamplerState
from magi_core.video import exact_fps
from magi_core.video.sound import Sound
from magi_core.video.sound_file import as_sound


def heard_in(state: SamplerState, audio: dict[str, Any] | None) -> Sound | None:
    """What is heard with the decoded frames of `state`: `audio` over the whole, else the sound of the given part."""
    return state.sound if audio is None else from_audio(audio, state.frames / exact_fps(state.fps))


def with_sound(state: SamplerState, audio: dict[str, Any] | None) -> tuple[SamplerState, tuple[str, ...]]:
    """`state` with the AUDIO that came with its prefix, if any, and a note where their times do not agree."""
    if audio is None:
        return state, ()
    fps = exact_fps(state.fps)
    lasts = state.prefix_frames / fps
    sound = as_sound(audio["waveform"][0], audio["sample_rate"])
    if abs(sound.seconds - lasts) > 1 / fps:
        return state, (
            f"the sound of the given video is left out: it lasts {float(sound.seconds):.2f} s, and its frames "
            f"{float(lasts):.2f} s at {float(fps):g} fps. Use one frame rate in Magi VAE Encode and the sampler",
        )
    return state.with_sound(sound), ()


def from_audio(audio: dict[str, Any], seconds: Fraction) -> Sound:
    """The first `seconds` of an AUDIO, silence where it is shorter. Raises `MagiError` for what is no single sound."""
    waveform, rate = audio["waveform"], audio["sample_rate"]
    if not isinstance(waveform, Tensor) or waveform.ndim != 3 or len(waveform) != 1:
        count = len(waveform) if isinstance(waveform, Tensor) and waveform.ndim == 3 else "no"
        raise MagiError(f"an AUDIO of one sound is needed, this one holds {count} sounds: choose one")
    wanted = -(-seconds.numerator * int(rate) // seconds.denominator)
    return as_sound(waveform[0, :, :wanted], rate, "audio").lasting(seconds)


def to_audio(sound: Sound) -> dict[str, Any]:
    return {"waveform": sound.samples[None], "sample_rate": sound.rate}
