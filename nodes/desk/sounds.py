"""The sound that is played with a video: which it is, how loud it is along the way, a small file to hear it."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from threading import RLock
from typing import Any
from weakref import WeakKeyDictionary, ref

import folder_paths
from torch import Tensor

from magi_core.digest import digest
from magi_core.errors import MagiError
from magi_core.state import SamplerState
from magi_core.video.peaks import peaks_of
from magi_core.video.sound import Sound
from magi_core.video.sound_file import as_sound, read_sound, sound_seconds
from magi_core.video.sound_track import write_sound

from ..host.input_files import input_file
from .events import Heard
from .made import MADE
from .recipes import Graph, Recipes, class_of, inputs_of, is_link
from .store import KEY

LONGEST = Fraction(600)  # seconds that are shown and can be heard
MOST = 64
DECODERS = {"MagiVAEDecode", "MagiDecodeToFile"}
FILES = {"LoadAudio": "audio", "LoadVideo": "file"}
"""ComfyUI's nodes that read a sound from a file, and the widget with its name."""


class Sounds:
    """Sounds that were offered, by key, and what is shown of them. Threads may share it.

    A sound in memory is held weakly, that of a file by its path: it is read when it is asked for.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._offered: OrderedDict[str, Callable[[], Sound | None]] = OrderedDict()
        self._shown: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._keys: WeakKeyDictionary[Sound, str] = WeakKeyDictionary()

    def of(self, sound: Sound) -> str:
        """The key of a sound that is in memory."""
        with self._lock:
            if sound not in self._keys:
                self._keys[sound] = digest("sound", sound.kept, sound.rate)
            self._offer(self._keys[sound], ref(sound))
            return self._keys[sound]

    def of_file(self, path: Path) -> str:
        """The key of the sound in a file; "" where there is no such file. It is not read yet."""
        try:
            there = path.stat()
        except (OSError, ValueError):
            return ""
        key = digest("sound of a file", str(path), there.st_size, there.st_mtime_ns)
        self._offer(key, lambda: _of_file(path))
        return key

    def of_audio(self, audio: Mapping[str, Any], name: str) -> str:
        """The key of an AUDIO that a node has made; `name` is like no other's."""
        key, waveform, rate = digest("audio", name), ref(audio["waveform"]), audio["sample_rate"]
        self._offer(key, lambda: _of_audio(waveform(), rate))
        return key

    def shown(self, key: str) -> dict[str, Any] | None:
        """The Sound of docs/desk.md; None where it is not there any more. Raises `MagiError` as reading does."""
        name = f"magi_{key[:32]}.m4a"
        path = Path(folder_paths.get_temp_directory()) / name
        with self._lock:
            offered, shown = self._offered.get(key), self._shown.get(key)
        if not KEY.fullmatch(key) or (shown is not None and os.path.isfile(path)):
            return shown
        sound = None if offered is None else offered()
        if sound is None:
            return None
        sound = Sound(sound.kept[:, : int(LONGEST * sound.rate)], sound.rate)
        write_sound(path, sound)
        rate, peaks = peaks_of(sound)
        shown = {"key": key, "seconds": float(sound.seconds), "rate": rate, "peaks": peaks, "filename": name}
        with self._lock:
            _newest(self._shown, key, shown)
        return shown

    def _offer(self, key: str, sound: Callable[[], Sound | None]) -> None:
        with self._lock:
            _newest(self._offered, key, sound)


SOUNDS = Sounds()


def note_audio(graph: Graph | None, node_id: str | None, audio: Mapping[str, Any] | None) -> None:
    """The node that is executed has been given `audio`, of a node that may be no file's: from now on it is known."""
    link = inputs_of((graph or {}).get(node_id or "")).get("audio")
    if audio is None or not graph or not is_link(link) or not isinstance(audio.get("waveform"), Tensor):
        return
    try:
        recipe = Recipes(graph, {}).of_link(link)
    except MagiError:  # a graph that is made while it runs
        return
    MADE.note(f"sound {recipe}", Heard(SOUNDS.of_audio(audio, recipe)))


class HeardIn:
    """Which sounds are heard with the videos of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self._recipes = graph, Recipes(graph, {})
        self._given = _given(graph)

    def with_node(self, name: str | None, state: SamplerState) -> Heard | None:
        """With what node `name` makes of `state`: the AUDIO of a node that decodes it, or the given video's own."""
        found = self._at(self._given.get(name or "")) or self._own(name, state)
        start = state.filled / state.fps
        return None if not found else Heard(found, round(start, 6))

    def _own(self, name: str | None, state: SamplerState) -> str:
        if state.sound is not None:
            return SOUNDS.of(state.sound)
        node = self.graph.get(name or "")
        if class_of(node) == "MagiSecondPass":
            return self._at(inputs_of(node).get("video"))
        encode = self._node(inputs_of(node).get("prefix"))
        return self._at(inputs_of(encode).get("video")) if class_of(encode) == "MagiVAEEncode" else ""

    def _at(self, link: Any) -> str:
        node = self._node(link)
        widget = FILES.get(class_of(node))
        if widget is not None:
            path = input_file(inputs_of(node).get(widget))
            return "" if path is None else SOUNDS.of_file(path)
        found = MADE.find(f"sound {self._recipes.of_link(link)}", Heard) if node is not None else None
        return "" if found is None else found.key

    def _node(self, link: Any) -> Any:
        return self.graph.get(str(link[0])) if is_link(link) else None


def heard_with(graph: Graph, name: str | None, state: SamplerState) -> Heard | None:
    """What is heard with a node that runs."""
    try:
        return HeardIn(graph).with_node(name, state)
    except MagiError:  # a graph that is made while it runs
        return None


def _given(graph: Graph) -> dict[str, Any]:
    """By node: the link to the AUDIO that a node which decodes its video, or a longer one, is given."""
    found: dict[str, Any] = {}
    for node in graph.values():
        audio = inputs_of(node).get("audio")
        if class_of(node) not in DECODERS or not is_link(audio):
            continue
        link = inputs_of(node).get("state")
        while is_link(link) and str(link[0]) not in found:
            found[str(link[0])] = audio
            link = inputs_of(graph.get(str(link[0]))).get("state")
    return found


def _of_file(path: Path) -> Sound | None:
    seconds = sound_seconds(path)
    return None if seconds is None else read_sound(path, seconds=max(Fraction(0), min(seconds, LONGEST)))


def _of_audio(waveform: Tensor | None, rate: Any) -> Sound | None:
    if waveform is None or waveform.ndim != 3 or len(waveform) != 1:
        return None
    return as_sound(waveform[0, :, : int(LONGEST) * int(rate)], rate, "audio")


def _newest(kept: OrderedDict[str, Any], key: str, value: Any) -> None:
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > MOST:
        kept.popitem(last=False)
