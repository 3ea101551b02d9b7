"""What is fuzzed: readers of files and texts from outside, each with small valid inputs to start from."""

from __future__ import annotations

import atexit
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save, save_file

from magi_core.loading import locate
from magi_core.state import load_state
from magi_core.state.autosave import Autosave
from magi_core.state.save import HEAD, parts_folders, read_part, write_part
from magi_core.story.chunk import ChunkSpec
from magi_core.story.storyboard import parse_storyboard
from magi_core.text import load_special_tokens
from magi_core.text.t5_config import read_config
from magi_core.text.tokenizer import load_tokenizer
from magi_core.vae import load_vae
from magi_core.vae.given import look_through
from magi_core.vae.prefix import encode_continued
from magi_core.video import read_image, read_video, write_video
from magi_core.video.sound import Sound
from magi_core.video.sound_stream import SoundStream
from magi_core.weights import read_tensors
from magi_core.weights.shards import list_shards
from tools.small_models import tiny_dit, tiny_engine, tiny_vae

NANO = locate("nano")
SIZE = {"width": 16, "height": 16}


@dataclass(frozen=True)
class Target:
    """seeds: valid inputs. read: what a user's file goes through; gets the input and an empty folder of its own."""

    seeds: Callable[[], Sequence[bytes]]
    read: Callable[[bytes, Path], object]


def _written(name: str, read: Callable[[Path], object], whole_folder: bool = False) -> Callable[[bytes, Path], object]:
    """Reads an input as the file `name`, or as the folder with that file."""

    def run(content: bytes, folder: Path) -> object:
        (folder / name).write_bytes(content)
        return read(folder if whole_folder else folder / name)

    return run


def _storyboard(content: bytes, _folder: Path) -> object:
    return parse_storyboard(content.decode("utf-8", "replace"))


def _texts() -> Sequence[bytes]:
    lines = (
        "0: a red circle",
        "1-3 [cut]: it turns blue",
        "4s-6.5s [seed 3, new_shot]: night",
        "00:07-00:09: \\[x\\]",
        "a, b",
    )
    return [line.encode() for line in lines] + ["\n".join(lines[:4]).encode()]


def _stories() -> Sequence[bytes]:
    chunks = [{"prompt": "a", "at": "0-2", "transition": "cut"}, {"prompt": "b", "reroll": 1}, "c"]
    return [json.dumps(story).encode() for story in (chunks, chunks[1:], {"chunks": chunks})]


def _take_bytes() -> bytes:
    engine = tiny_engine()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "take.magi"
        state = engine.extend(engine.begin(**SIZE), ["a", "b", "c"], 3)
        engine.extend(state, "d", 2, drain=False).save(path)
        return path.read_bytes()


def _remade_bytes() -> bytes:
    """A take of a second pass, its sources in flight."""
    engine = tiny_engine()
    begun = engine.begin(**SIZE)
    first = engine.extend(begun, ["a", "b", "c", "d", "e"])
    told = [ChunkSpec("z", strength=strength) for strength in (0, 0.5, 0.5, 0.5, 0)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "take.magi"
        engine.extend(begun, told, source=first, drain=False).save(path)
        return path.read_bytes()


def _take_words() -> Sequence[bytes]:
    return [_words_of(_take_bytes()), _words_of(_remade_bytes())]


def _words_of(take: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "take.magi"
        path.write_bytes(take)
        return _words_in(path)


def _words_in(path: Path) -> bytes:
    words, tensors = read_part(path)
    whole = {name: (list(t.shape), t.dtype == torch.float32) for name, t in tensors.items()}
    return json.dumps({"words": words, "tensors": whole}).encode()


def _read_words(content: bytes, folder: Path) -> object:
    """The words of a take, changed, in a file whose checksums are right; then a plan from it."""
    path = folder / "take.magi"
    return tiny_engine().plan(load_state(path), "next", 1) if _write_words(content, path) else None


def _write_words(content: bytes, path: Path) -> bool:
    """Whether they could be written."""
    try:
        given = json.loads(content)
        tensors = {
            name: torch.zeros([min(int(n), 64) for n in shape], dtype=torch.float32 if real else torch.int64)
            for name, (shape, real) in given["tensors"].items()
        }
        write_part(path, given["words"], tensors)
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
        return False
    return True


@cache
def _in_parts() -> Path:
    """The folder of a take that a killed run left; it goes with the process."""
    engine, kept = tiny_engine(), tempfile.TemporaryDirectory()
    atexit.register(kept.cleanup)
    saving = Autosave(Path(kept.name) / "take.magi")
    for state in engine.stream(engine.begin(**SIZE), ["a", "b", "c"]):
        saving.write(state)
    saving._claim.release()
    return parts_folders(saving.path)[0]


def _running() -> Sequence[bytes]:
    """The words of the small file with the rest of a take that is being made."""
    return [_words_in(_in_parts() / HEAD)]


def _read_running(content: bytes, folder: Path) -> object:
    shutil.copytree(_in_parts(), folder / _in_parts().name)
    written = _write_words(content, folder / _in_parts().name / HEAD)
    return tiny_engine().plan(load_state(folder / "take.magi"), "next", 1) if written else None


def _weights() -> Sequence[bytes]:
    small = {"a": torch.ones(2, 3), "b": torch.ones(4, dtype=torch.bfloat16), "c": torch.ones(1, dtype=torch.int64)}
    return [save(small), save({"a": torch.ones(5)}, {"format": "pt"})]


def _read_weights(path: Path) -> object:
    checkpoint = read_tensors(path)
    return [checkpoint[name] for name in checkpoint]


def _packed() -> Sequence[bytes]:
    import zstandard

    return [zstandard.compress(weights) for weights in _weights()]


def _index() -> Sequence[bytes]:
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    return [json.dumps({"metadata": {"total_size": 3}, "weight_map": names}).encode()]


def _official() -> Sequence[bytes]:
    """In the shape of the reference's configuration files."""
    model = {"num_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "num_query_groups": 2, "kv_channels": 8}
    runtime = {"cfg_number": 1, "num_steps": 16, "window_size": 4, "noise2clean_kvrange": [5, 4, 3, 2]}
    engine = {"distill": True, "fp8_quant": False}
    return [json.dumps({"model_config": model, "runtime_config": runtime, "engine_config": engine}).encode()]


def _read_config(content: bytes, folder: Path) -> object:
    (folder / "config.json").write_bytes(content)
    headers = {name: torch.empty(value.shape, device="meta") for name, value in tiny_dit().state_dict().items()}
    save_file({name: torch.zeros(value.shape) for name, value in headers.items()}, folder / "model.safetensors")
    return locate(folder)


def _read_vae(content: bytes, folder: Path) -> object:
    (folder / "config.json").write_bytes(content)
    (folder / "diffusion_pytorch_model.safetensors").symlink_to(NANO.vae / "diffusion_pytorch_model.safetensors")
    return load_vae(folder, device="cpu")


def _npz() -> Sequence[bytes]:
    packed = io.BytesIO()
    one, rest = np.ones((1, 8), np.float32), np.ones((17, 8), np.float32)
    np.savez(packed, caption_token=one, logo_token=one, other_tokens=rest)
    return [packed.getvalue()]


def _pictures() -> Sequence[bytes]:
    found = []
    for kind, mode in (
        ("PNG", "RGB"),
        ("PNG", "RGBA"),
        ("PNG", "I;16"),
        ("JPEG", "RGB"),
        ("WEBP", "RGB"),
        ("GIF", "P"),
    ):
        file = io.BytesIO()
        Image.new(mode, (16, 8)).save(file, kind)
        found.append(file.getvalue())
    return found


def _videos() -> Sequence[bytes]:
    frames = torch.zeros(8, 32, 32, 3, dtype=torch.uint8)
    frames[4:] = 255
    sound = Sound(torch.zeros(2, 16_000), 48_000)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, heard in (("silent.mp4", None), ("heard.mp4", sound)):
            write_video(Path(folder) / name, [frames], 24, sound=heard)
            found.append((Path(folder) / name).read_bytes())
    return found


def _film(content: bytes, folder: Path) -> object:
    """A video to continue: looked through, then made frame by frame."""
    (folder / "film").write_bytes(content)
    given = look_through(folder / "film", width=16, height=16, seconds=Fraction(2))
    return encode_continued(tiny_vae(), given)


def _films() -> Sequence[bytes]:
    """The same few pictures in other containers."""
    kinds = {"gif": "gif", "mkv": "mpeg4", "avi": "mjpeg", "ts": "mpeg2video", "y4m": "rawvideo", "webm": "libvpx"}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, codec in kinds.items():
            path = Path(folder) / f"a.{kind}"
            with av.open(str(path), "w") as container:
                stream: Any = container.add_stream(codec, rate=24)
                stream.width = stream.height = 16
                stream.pix_fmt = {"gif": "rgb8", "avi": "yuvj420p"}.get(kind, "yuv420p")
                for level in range(0, 160, 20):
                    frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), level, np.uint8), format="rgb24")
                    container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
            found.append(path.read_bytes())
    return found


def _sounds() -> Sequence[bytes]:
    kinds = {"wav": "pcm_s16le", "flac": "flac", "mp3": "libmp3lame", "ogg": "libopus", "m4a": "aac", "mka": "ac3"}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, codec in kinds.items():
            path = Path(folder) / f"a.{kind}"
            with av.open(str(path), "w") as container:
                stream: Any = container.add_stream(codec, rate=48_000)
                silent = np.zeros((2, 24_000), np.float32)
                frame = av.AudioFrame.from_ndarray(silent, format="fltp", layout="stereo")
                frame.sample_rate = 48_000
                container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
            found.append(path.read_bytes())
    return found


def _heard(path: Path) -> object:
    """A sound as a render takes it: read once, then in pieces."""
    stream = SoundStream(path, seconds=Fraction(2))
    for first in range(-1024, 2 * stream.rate, 1024):
        if not bool(stream.between(first, first + 1024).abs().le(1).all()):
            raise ValueError("samples that are no sound")
    return stream.between(0, 10)


def _file_of(path: Path) -> Callable[[], Sequence[bytes]]:
    return lambda: [path.read_bytes()]


TARGETS: dict[str, Target] = {
    "storyboard": Target(_texts, _storyboard),
    "storyboard-json": Target(_stories, _storyboard),
    "take": Target(lambda: [_take_bytes()], _written("take.magi", load_state)),
    "take-words": Target(_take_words, _read_words),
    "running-take": Target(_running, _read_running),
    "weights": Target(_weights, _written("model.safetensors", _read_weights)),
    "zst": Target(_packed, _written("model.safetensors.zst", _read_weights)),
    "index": Target(_index, _written("model.safetensors.index.json", list_shards)),
    "model-config": Target(_official, _read_config),
    "vae-config": Target(_file_of(NANO.vae / "config.json"), _read_vae),
    "t5-config": Target(_file_of(NANO.t5 / "config.json"), _written("config.json", read_config, whole_folder=True)),
    "tokenizer": Target(
        _file_of(NANO.t5 / "tokenizer.json"), _written("tokenizer.json", load_tokenizer, whole_folder=True)
    ),
    "special-tokens": Target(_npz, _written("special_tokens.npz", load_special_tokens)),
    "picture": Target(_pictures, _written("picture.png", read_image)),
    "video": Target(_videos, _written("video.mp4", lambda path: read_video(path, max_frames=48, sound=True))),
    "film": Target(_films, _film),
    "sound": Target(_sounds, _written("sound.wav", _heard)),
}
