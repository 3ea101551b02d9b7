"""Contact sheets: a whole video on one picture, one row per chunk, labelled with its time and prompt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from magi_core.errors import MagiError
from magi_core.video.output_path import check_output
from magi_core.writing.claim import Claim
from magi_core.writing.replacing import replacing

FRAMES_PER_ROW = 8
MAX_ROWS = 300  # of a sheet that programs show; its small frames and the picture take 0.35 GB
FRAME_AREA = 160 * 120  # pixels of one small frame, whatever its shape
LABEL_WIDTH, MARGIN, GAP, ROW_GAP = 300, 24, 4, 16
LABEL_LINES = 5  # a row is at least this high
BACKGROUND, INK, FAINT, ACCENT = (48, 50, 56), (240, 240, 236), (168, 170, 176), (255, 184, 84)
TITLE_SIZE, PROMPT_SIZE, TIME_SIZE = 22, 17, 15


class ContactSheet:
    """Collects small copies of the frames that a sheet shows while a video streams past, then draws it.

    frames_per_chunk: how many of the frames given to `add` make one row. missing: how many the first row lacks, at its
    start. Of a long video the first rows are shown, which `note` tells.
    """

    def __init__(self, frames_per_chunk: int, *, columns: int = FRAMES_PER_ROW, missing: int = 0) -> None:
        if frames_per_chunk < 1 or columns < 1:
            raise MagiError("a contact sheet needs at least one frame per chunk and one column")
        self.frames_per_chunk, self.columns = frames_per_chunk, columns
        self.rows: list[list[Image.Image]] = []
        self._shown = set(spread(frames_per_chunk, columns))
        self._missing = self._seen = missing

    @property
    def note(self) -> str:
        """That the sheet does not show all of the video, or ""."""
        return (
            f"the contact sheet shows the first {MAX_ROWS} of {len(self.rows)} rows"
            if len(self.rows) > MAX_ROWS
            else ""
        )

    def add(self, block: Tensor) -> None:
        """The next frames of the video, uint8 [n, H, W, 3]."""
        for frame in block:
            row, position = divmod(self._seen, self.frames_per_chunk)
            self._seen += 1
            if row == len(self.rows):
                self.rows.append([])
            if position in self._shown and row < MAX_ROWS:
                self.rows[row].append(_small(frame))

    def save(self, path: str | Path | Claim, prompts: Sequence[str], *, fps: float = 24, title: str = "") -> None:
        """Draw the sheet to a PNG. prompts: one per row, rows without one are labelled with their time only."""
        check_output(path.path if isinstance(path, Claim) else Path(path), ".png", "contact sheets")
        with Claim(path, "the contact sheet") as claim, replacing(claim.path, "the contact sheet") as part:
            self.draw(prompts, fps=fps, title=title).save(part, "PNG")

    def draw(self, prompts: Sequence[str], *, fps: float = 24, title: str = "") -> Image.Image:
        """The sheet itself; arguments as for `save`."""
        if not self.rows or not self.rows[0]:
            raise MagiError("there are no frames for a contact sheet")
        ends = [*(i * self.frames_per_chunk for i in range(1, len(self.rows))), self._seen]
        times = [0, *((end - self._missing) / fps for end in ends)]
        spans = [f"{start:.1f}-{end:.1f} s" for start, end in zip(times, times[1:], strict=False)]
        labels = [(span, prompts[i] if i < len(prompts) else "") for i, span in enumerate(spans)]
        return _draw(self.rows[:MAX_ROWS], labels, title, self.columns)


def contact_sheet(
    frames_per_chunk: Iterable[Tensor],
    prompts: Sequence[str],
    path: str | Path,
    *,
    fps: float = 24,
    title: str = "",
) -> None:
    """A PNG with one row per chunk: eight evenly spaced frames, the time and the wrapped prompt.

    frames_per_chunk: uint8 [n, H, W, 3] per chunk, all of one length but the last. prompts: one per chunk.
    """
    sheet: ContactSheet | None = None
    for chunk in frames_per_chunk:
        sheet = sheet or ContactSheet(len(chunk))
        sheet.add(chunk)
    if sheet is None:
        raise MagiError("there are no frames for a contact sheet")
    sheet.save(path, prompts, fps=fps, title=title)


def spread(count: int, wanted: int) -> list[int]:
    """Up to `wanted` different indices of 0..count-1, evenly spaced, first and last included where there is room."""
    if wanted >= count:
        return list(range(count))
    if wanted == 1:
        return [count // 2]
    return [round(i * (count - 1) / (wanted - 1)) for i in range(wanted)]


def wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int, lines: int) -> list[str]:
    """`text` in at most `lines` lines of `width` pixels; long words are split, what does not fit ends in dots."""
    wrapped = [""]
    for word in text.split():
        candidate = f"{wrapped[-1]} {word}".strip()
        if font.getlength(candidate) <= width:
            wrapped[-1] = candidate
            continue
        if wrapped[-1]:
            wrapped.append("")
        for letter in word:
            if wrapped[-1] and font.getlength(wrapped[-1] + letter) > width:
                wrapped.append("")
            wrapped[-1] += letter
        if len(wrapped) > lines:
            break
    if len(wrapped) > lines:
        last = wrapped[lines - 1]
        while last and font.getlength(last + "...") > width:
            last = last[:-1]
        wrapped = [*wrapped[: lines - 1], last.rstrip() + "..."]
    return [line for line in wrapped if line]


def _small(frame: Tensor) -> Image.Image:
    picture = Image.fromarray(frame.cpu().numpy())
    scale = (FRAME_AREA / (picture.width * picture.height)) ** 0.5
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _draw(
    rows: Sequence[Sequence[Image.Image]], labels: Sequence[tuple[str, str]], title: str, columns: int
) -> Image.Image:
    title_font, prompt_font, time_font = (ImageFont.load_default(s) for s in (TITLE_SIZE, PROMPT_SIZE, TIME_SIZE))
    frame_width, frame_height = rows[0][0].size
    line_height = round(PROMPT_SIZE * 1.35)
    time_height = round(TIME_SIZE * 1.7)
    row_height = max(frame_height, time_height + LABEL_LINES * line_height)
    lines = (row_height - time_height) // line_height
    head = round(TITLE_SIZE * 1.9) if title else 0
    left = MARGIN + LABEL_WIDTH + MARGIN
    width = left + columns * (frame_width + GAP) - GAP + MARGIN
    height = MARGIN + head + len(rows) * (row_height + ROW_GAP) - ROW_GAP + MARGIN
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    if title:
        first = wrap(title, title_font, width - 2 * MARGIN, 1)
        pen.text((MARGIN, MARGIN - 6), first[0] if first else "", INK, title_font)
    for index, (row, (span, prompt)) in enumerate(zip(rows, labels, strict=False)):
        top = MARGIN + head + index * (row_height + ROW_GAP)
        pen.text((MARGIN, top), span, ACCENT, time_font)
        number = f"chunk {index}"
        pen.text((MARGIN + LABEL_WIDTH - time_font.getlength(number), top), number, FAINT, time_font)
        for line, text in enumerate(wrap(prompt, prompt_font, LABEL_WIDTH, lines) or ["(no prompt)"]):
            pen.text((MARGIN, top + time_height + line * line_height), text, INK if prompt else FAINT, prompt_font)
        for column, picture in enumerate(row):
            sheet.paste(picture, (left + column * (frame_width + GAP), top))
    return sheet
