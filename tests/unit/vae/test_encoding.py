"""A given video is encoded once: a run that is asked for again finds what was encoded, whatever stopped it."""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from magi_core.config import VIDEO_FRAMES_PER_CHUNK
from magi_core.vae import VAE, encoding
from magi_core.vae.given import GivenVideo, given_frames, look_through
from magi_core.vae.prefix import encode_continued
from magi_core.vae.source import encode_source
from magi_core.video import write_video
from tools.small_models import tiny_vae

SIZE = {"width": 32, "height": 32}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAGI_CACHE", str(tmp_path))
    return tmp_path / "videos"


class Counting(VAE):
    """Counts the chunks that it encodes; ends like a killed process at the one after `most`."""

    def __init__(self, identity: str = "one", most: int = 100, **how) -> None:
        super().__init__(deepcopy(tiny_vae().model).to(how.get("dtype", torch.float32)), identity=identity, **how)
        self.count, self.most = 0, most

    def encode(self, frames: Tensor) -> Tensor:
        if self.count == self.most:
            raise KeyboardInterrupt
        self.count += 1
        return super().encode(frames)


def pictures(chunks: int, seed: int = 3) -> Tensor:
    shape = (chunks * VIDEO_FRAMES_PER_CHUNK, 32, 32, 3)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def encoded(vae: VAE, frames: Tensor) -> Tensor:
    return encode_source(vae, given_frames(frames, **SIZE))[0]


def test_what_a_broken_off_run_has_encoded_is_not_encoded_again() -> None:
    film, stopped, again = pictures(5), Counting(most=3), Counting()
    with pytest.raises(KeyboardInterrupt):
        encoded(stopped, film)
    assert torch.equal(encoded(again, film), encoded(Counting(identity=""), film))
    assert (stopped.count, again.count) == (3, 2)


def of_file(path: Path, frames: Tensor) -> GivenVideo:
    write_video(path, [frames], 24)
    return look_through(path, **SIZE)


@pytest.mark.parametrize("frames", [48, 60, 22, 1])
@pytest.mark.parametrize("encode", [encode_source, encode_continued], ids=["made anew", "continued"])
def test_no_given_video_is_encoded_twice(tmp_path: Path, encode, frames: int) -> None:
    """A file or frames in memory, made anew or continued, whether or not it ends with a chunk."""
    for given in (of_file(tmp_path / "a.mp4", pictures(3)[:frames]), given_frames(pictures(3, 5)[:frames], **SIZE)):
        first, again = Counting(), Counting()
        latents, notes = encode(first, given)
        known, told = encode(again, given)
        assert torch.equal(known, latents) and told == notes
        assert (first.count, again.count) == (-(-frames // VIDEO_FRAMES_PER_CHUNK), 0)


def test_a_video_of_whole_chunks_that_was_continued_is_made_anew_without_encoding() -> None:
    given, vae = given_frames(pictures(2), **SIZE), Counting()
    latents, _ = encode_continued(Counting(), given)
    assert torch.equal(encode_source(vae, given)[0], latents) and vae.count == 0


def test_a_video_that_begins_alike_shares_its_beginning() -> None:
    film, other = pictures(3), pictures(3)
    encoded(Counting(), film)
    other[60] = 0
    vae = Counting()
    assert torch.equal(encoded(vae, other), encoded(Counting(identity=""), other)) and vae.count == 1


@pytest.mark.parametrize(
    "how",
    [{"identity": "two"}, {"dtype": torch.bfloat16}, {"identity": ""}, {"tile": replace(tiny_vae().tile, width=64)}],
)
def test_another_vae_or_way_of_encoding_encodes_for_itself(how) -> None:
    film = pictures(1)
    encoded(Counting(), film)
    vae = Counting(**how)
    encoded(vae, film)
    assert vae.count == 1


@pytest.mark.parametrize("damage", [lambda b: b[:40], lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda _b: b""])
def test_what_is_damaged_is_made_again(folder: Path, damage) -> None:
    film = pictures(1)
    made = encoded(Counting(), film)
    (file,) = folder.iterdir()
    sound = file.read_bytes()
    file.write_bytes(damage(sound))
    vae = Counting()
    assert torch.equal(encoded(vae, film), made) and vae.count == 1 and file.read_bytes() == sound


def test_no_more_is_kept_than_there_is_room_for_and_of_a_long_video_the_beginning(folder: Path, monkeypatch) -> None:
    encoded(Counting(), pictures(2, seed=1))
    (one, _) = folder.iterdir()
    monkeypatch.setattr(encoding, "VIDEOS", replace(encoding.VIDEOS, most=3 * one.stat().st_size))
    monkeypatch.setattr(encoding, "TIDIED_EVERY", 1)
    film, again = pictures(6), Counting()
    encoded(Counting(), film)
    assert len(list(folder.iterdir())) == 3
    encoded(again, film)
    assert again.count == 3


def test_a_folder_that_cannot_be_written_costs_time_only(folder: Path) -> None:
    folder.write_text("in the way")
    assert encoded(Counting(), pictures(1)).shape[2] == 6


def test_what_a_killed_process_was_writing_goes_after_an_hour(folder: Path) -> None:
    (folder / ".a.safetensors.00000000.part").mkdir(parents=True)
    os.utime(folder / ".a.safetensors.00000000.part", (0, 0))
    (folder / ".b.safetensors.00000000.part").mkdir()
    encoded(Counting(identity=""), pictures(1))
    assert [path.name for path in folder.iterdir()] == [".b.safetensors.00000000.part"]
