"""The sound that is played with a video: which, from when on, how loud along the way, and a file to hear it."""

from __future__ import annotations

import gc
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from magi_core.video.peaks import MOST, peaks_of
from magi_core.video.sound import Sound
from magi_core.video.sound_file import read_sound, sound_seconds
from magi_core.video.sound_track import write_sound

RATE = 16_000


def _beep(seconds: int, channels: int = 1) -> Sound:
    """Loud in the first half second of each second."""
    time = torch.arange(seconds * RATE) / RATE
    return Sound((torch.sin(time * 2764) * (time % 1 < 0.5)).expand(channels, -1).clone(), RATE)


@pytest.fixture
def sounds(part) -> Any:
    return part("desk.sounds").Sounds()


@pytest.fixture
def given(nodes) -> Path:
    """ComfyUI's input folder."""
    import folder_paths

    return Path(folder_paths.get_input_directory())


def _graph(**audio: Any) -> dict[str, Any]:
    """A sampler, an extend behind it, and a node that decodes what that makes."""
    return {
        "1": {"class_type": "MagiChunkSampler", "inputs": {}},
        "2": {"class_type": "MagiExtend", "inputs": {"state": ["1", 0]}},
        "3": {"class_type": "MagiRewind", "inputs": {"state": ["2", 0], "chunks": -1}},
        "4": {"class_type": "MagiVAEDecode", "inputs": {"state": ["3", 0], "audio": ["5", 0]}},
        "5": audio,
    }


def _state(sound: Sound | None = None, filled: int = 0) -> Any:
    return SimpleNamespace(sound=sound, filled=filled, fps=24.0)


def test_peaks_say_how_loud_it_is_and_are_bounded() -> None:
    rate, peaks = peaks_of(_beep(3, channels=2))
    assert rate == 50 and len(peaks) == 150
    assert min(peaks[:25]) > 240 and max(peaks[26:50]) == 0 and min(peaks[50:75]) > 240
    rate, peaks = peaks_of(Sound(torch.ones(1, RATE * 1000), RATE))
    assert len(peaks) <= MOST and len(peaks) / rate == pytest.approx(1000, rel=1e-3)
    assert peaks_of(Sound(torch.zeros(1, 0), RATE))[1] == []


def test_a_sound_is_written_as_it_is_heard(tmp_path) -> None:
    path = tmp_path / "sound.m4a"
    write_sound(path, _beep(3))
    assert sound_seconds(path) == pytest.approx(3, abs=0.1)
    again = read_sound(path, seconds=Fraction(3))
    assert again is not None and peaks_of(again)[1][60] > 200 and peaks_of(again)[1][40] < 10


def test_an_audio_file_is_known_before_anything_ran(part, sounds, given, monkeypatch) -> None:
    monkeypatch.setattr(part("desk.sounds"), "SOUNDS", sounds)
    write_sound(given / "song.m4a", _beep(4))
    heard = part("desk.sounds").HeardIn(_graph(class_type="LoadAudio", inputs={"audio": "song.m4a"}))
    found = heard.with_node("1", _state())
    assert found == heard.with_node("2", _state()) and found.start == 0
    shown = sounds.shown(found.key)
    assert shown["seconds"] == pytest.approx(4, abs=0.1) and len(shown["peaks"]) == pytest.approx(200, abs=5)
    import folder_paths

    assert sound_seconds(Path(folder_paths.get_temp_directory()) / shown["filename"]) == pytest.approx(4, abs=0.1)
    assert sounds.shown(found.key) is shown, "it is read once"


@pytest.mark.parametrize("name", ["../secret.wav", "/etc/passwd", "", None, 3, "\x00", "missing.wav"])
def test_no_file_but_those_that_comfyui_loads_is_read(part, name, given) -> None:
    (given.parent / "secret.wav").write_bytes(b"RIFF")
    heard = part("desk.sounds").HeardIn(_graph(class_type="LoadAudio", inputs={"audio": name}))
    assert heard.with_node("1", _state()) is None


def test_a_given_videos_own_sound_begins_where_its_frames_do_and_an_audio_comes_before_it(part, given) -> None:
    write_sound(given / "voice.m4a", _beep(1))
    module, own = part("desk.sounds"), _beep(2)
    silent = module.HeardIn(_graph(class_type="Unknown", inputs={}))
    found = silent.with_node("1", _state(own, filled=12))
    assert found.start == 0.5 and module.SOUNDS.shown(found.key)["seconds"] == 2
    audio = module.HeardIn(_graph(class_type="LoadAudio", inputs={"audio": "voice.m4a"}))
    assert audio.with_node("1", _state(own)).key != found.key


def test_a_sound_in_memory_is_not_kept_alive(part, sounds) -> None:
    own = _beep(1)
    key = sounds.of(own)
    del own
    gc.collect()
    assert sounds.shown(key) is None


def test_the_audio_of_any_node_is_known_once_it_was_heard(part) -> None:
    module, graph = part("desk.sounds"), _graph(class_type="Singer", inputs={"words": "la"})
    assert module.HeardIn(graph).with_node("2", _state()) is None
    audio = {"waveform": _beep(1).samples[None], "sample_rate": RATE}
    module.note_audio(graph, "4", audio)
    found = module.HeardIn(graph).with_node("2", _state())
    assert module.SOUNDS.shown(found.key)["seconds"] == 1
    graph["5"]["inputs"]["words"] = "lo"
    assert module.HeardIn(graph).with_node("2", _state()) is None


def test_a_damaged_or_unknown_sound_is_told_in_words(part, sounds, given) -> None:
    from magi_core.errors import MagiError

    (given / "noise.wav").write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(MagiError):
        sounds.shown(sounds.of_file(given / "noise.wav"))
    assert sounds.shown("a" * 64) is None and sounds.shown("../x") is None
