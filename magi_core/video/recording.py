"""Chunks to a video file while they arrive: what is finished can be played, whatever happens next.

A recording grows as a fragmented mp4: an empty index with the tags, then one closed fragment per `flush`. Each fragment
is encoded and packed in memory and appended at once, so that a killed process leaves a file that ends with a whole
chunk. Closing turns it into an ordinary mp4 with the index in front, without encoding anything again.
Source: ISO/IEC 14496-12, movie fragments.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import av
from torch import Tensor

from magi_core.errors import MagiError, echo
from magi_core.video.frame_source import open_video
from magi_core.video.mp4 import MOVFLAGS, Mp4Encoder, check_even, check_frames, checked_encoder, tags_of
from magi_core.video.output_path import check_output
from magi_core.video.rate import exact_fps
from magi_core.video.sound_track import BLOCK, SoundTrack
from magi_core.writing.claim import Claim
from magi_core.writing.failure import cannot_write
from magi_core.writing.replacing import replacing

if TYPE_CHECKING:
    from magi_core.video.sound import SoundSource

INDEX = (b"ftyp", b"moov")  # what a fragmented file begins with; every fragment is made with one of its own
BOX = 8  # bytes that begin a box; nothing but zeros there is a box without a kind, up to the end of the file


class VideoRecording:
    """A video file that grows by whole chunks; use as a context manager, which closes it however its body ends.

    path: or the `Claim` on it. width, height: of every frame, even. fps: exact.
    metadata: tags of any name ("prompt", "workflow", "storyboard"); values that are not strings are stored as JSON;
    they are in the file from the first chunk on.
    replace: whether a file that has the name is replaced, when the first chunk is written.
    sound: what is heard from the first frame on, silence after its end; None: the file has no sound.
    frames: written so far. note: after closing, why the file stayed fragmented, or "".
    Raises `MagiError` before any work for a name, size, rate or metadata that cannot work, and for a name that another
    run writes to. A file that somebody removes meanwhile is put back; where somebody puts another in its place, that
    one stays, and ours is kept beside it.
    """

    def __init__(
        self,
        path: str | Path | Claim,
        *,
        width: int,
        height: int,
        fps: float | str | Fraction,
        metadata: Mapping[str, Any] | None = None,
        replace: bool = False,
        sound: SoundSource | None = None,
    ) -> None:
        self.path = path.path if isinstance(path, Claim) else Path(path)
        self.fps, self.frames, self.note = exact_fps(fps), 0, ""
        check_output(self.path, ".mp4", "videos")
        if self.path.exists() and not replace:
            raise MagiError(f"there is a file {self.path} already: choose another name, or move it away")
        check_even(width, height)
        checked_encoder()
        self._width, self._height, self._tags = width, height, tags_of(metadata)
        self._claim = Claim(path, "the video")
        self._file: io.FileIO | None = None
        self._fragments = 0
        self._sound, self._sound_track = sound, None if sound is None else SoundTrack(sound, later=BLOCK)
        self._fragment: Mp4Encoder | None = None
        self._packed = io.BytesIO()

    def __enter__(self) -> VideoRecording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._drop_fragment()  # half a chunk: the file ends with the last whole one
        self.close()

    def write(self, block: Tensor) -> None:
        """Append frames uint8 [n, H, W, 3]. They are in the file after the next `flush`."""
        check_frames(block)
        if tuple(block.shape[1:3]) != (self._height, self._width):
            raise MagiError(
                f"this recording is {self._width}x{self._height}, and a frame is {block.shape[2]}x{block.shape[1]}: "
                "all frames of a video must have one size"
            )
        try:
            for pixels in block.cpu().numpy():
                fragment = self._fragment = self._fragment or self._new_fragment()
                fragment.write(pixels)
        except av.error.FFmpegError as error:
            self._drop_fragment()
            raise MagiError(f"the video encoder failed on {self.path} ({echo(error)}): {self._kept()}") from error

    def flush(self) -> None:
        """Put what was written into the file, where it stays if the process is killed. Best after a whole chunk."""
        if self._fragment is None:
            return
        fragment, packed = self._fragment, self._packed
        try:
            fragment.finish()
            self._append(b"".join(box for kind, box in _boxes(packed.getvalue()) if self._wanted(kind)))
            self.frames, self._fragment = fragment.frame, None
            self._fragments += 1
        except (av.error.FFmpegError, OSError) as error:
            raise cannot_write("the video", self.path, error, self._kept()) from error
        finally:
            self._drop_fragment()

    def close(self) -> None:
        """Flush, and put the index in front. If that fails, the fragmented file stays, and `note` says why."""
        try:
            self.flush()
            if self._file is not None:
                self._see_to_file(self._file)
        finally:
            if self._file is not None:
                self._file.close()
                self._file = None
                self.note = self._index()
            self._claim.release()

    def _new_fragment(self) -> Mp4Encoder:
        self._packed = io.BytesIO()
        return Mp4Encoder(
            self._packed,
            width=self._width,
            height=self._height,
            fps=self.fps,
            tags=self._tags,
            first_frame=self.frames,
            movflags="empty_moov+default_base_moof+frag_custom+frag_discont+skip_trailer",
            # Times count from the start of the video, not of the fragment.
            options={
                "fragment_index": str(self._fragments + 1),
                "use_editlist": "0",
                "avoid_negative_ts": "disabled",
            },
            reorder=False,  # reordered frames would begin before their fragment
            sound=self._sound_track,
        )

    def _wanted(self, kind: bytes) -> bool:
        return kind not in INDEX or not self._fragments

    def _append(self, content: bytes) -> None:
        """Add to the file, all of it or nothing."""
        if self._file is None:
            with replacing(self.path, "the video") as part:  # what had the name is lost only to a whole first chunk
                part.write_bytes(content)
            self._file = _opened_at_end(self.path)
            return
        self._file = file = self._see_to_file(self._file)
        end = file.tell()
        try:
            file.seek(end + BOX)
            _write_all(file, content[BOX:])
            os.fsync(file.fileno())
            file.seek(end)
            _write_all(file, content[:BOX])  # only now is there a box: who is killed before has added nothing
            file.seek(0, io.SEEK_END)
            os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                file.truncate(end)
                file.seek(end)
            raise

    def _see_to_file(self, file: io.FileIO) -> io.FileIO:
        """The file that grows, which must still be the one of that name: put back where it was removed. Where its name
        is another's now, it gets a new one, and `MagiError` tells."""
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), self.path.stat()):
                return file
        lost, taken = self.path, self.path.exists()
        if taken:
            self.path = _free_name(lost)
        with replacing(self.path, "the video", remains="nothing else is left of it") as part, part.open("wb") as copy:
            file.seek(0)
            shutil.copyfileobj(file, copy)
        file.close()
        self._file = _opened_at_end(self.path)
        if taken:
            raise MagiError(
                f"another program put a file of its own in the place of {lost} while it was written: choose a name "
                f"that nobody else uses; the {self.frames} frames before are in {self.path}"
            )
        return self._file

    def _drop_fragment(self) -> None:
        fragment, self._fragment = self._fragment, None
        if fragment is not None:
            fragment.abandon()
            if self._sound is not None:  # its packets are gone with it
                self._sound_track = SoundTrack(self._sound, self.frames / self.fps, later=BLOCK)

    def _kept(self) -> str:
        return f"the {self.frames} frames before are in it" if self.frames else "nothing was written"

    def _index(self) -> str:
        """Rewrite the fragmented file with its index in front; returns why that was not possible, or ""."""
        remains = "it stays a fragmented mp4, which most players open too"
        try:
            with replacing(self.path, "the index of", remains=remains, errors=(av.error.FFmpegError,)) as whole:
                _copy_streams(self.path, whole, self._tags)
        except MagiError as error:
            return str(error)
        return ""


def _write_all(file: io.FileIO, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def _opened_at_end(path: Path) -> io.FileIO:
    """Without a buffer, which would keep what a full disk did not take."""
    file = io.FileIO(path, "r+")
    file.seek(0, io.SEEK_END)
    return file


def _free_name(path: Path) -> Path:
    number = 2
    while (free := path.with_name(f"{path.stem}_{number}{path.suffix}")).exists():
        number += 1
    return free


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes of an mp4 on the outermost level: (kind, all of its bytes)."""
    start = 0
    while start < len(content):
        size = int.from_bytes(content[start : start + 4], "big")
        yield content[start + 4 : start + 8], content[start : start + size]
        start += size


def _copy_streams(source: Path, target: Path, tags: Mapping[str, str]) -> None:
    """The same packets in an ordinary mp4 with the index in front. Absolute, or "a:b.mp4" would be an address."""
    with (
        open_video(source) as given,
        av.open(str(target.absolute()), "w", format="mp4", options={"movflags": f"{MOVFLAGS}+faststart"}) as made,
    ):
        made.metadata.update(tags)
        copies = {stream.index: _stream_like(made, stream) for stream in given.streams}
        for stream in given.streams:
            copies[stream.index].time_base = stream.time_base
        for packet in given.demux():
            if packet.dts is not None:  # the empty packet that ends a demuxed stream
                if packet.stream.type == "audio":  # fragments have no time before 0
                    packet.pts, packet.dts = packet.pts - BLOCK, packet.dts - BLOCK
                packet.stream = copies[packet.stream.index]
                made.mux(packet)


def _stream_like(container: Any, stream: Any) -> Any:
    """A stream for copied packets; PyAV 14 renamed the method."""
    if hasattr(container, "add_stream_from_template"):
        return container.add_stream_from_template(stream)
    return container.add_stream(template=stream)
