"""What a file is, by its first bytes: for messages about one that was taken for something else."""

from __future__ import annotations

import re
from pathlib import Path

_STARTS: tuple[tuple[bytes, str], ...] = (
    (rb"....ftyp", "a video (mp4 or mov)"),
    (rb"\x1a\x45\xdf\xa3", "a video (mkv or webm)"),
    (rb"RIFF....AVI ", "a video (avi)"),
    (rb"RIFF....WEBP", "an image (webp)"),
    (rb"RIFF....WAVE|ID3|fLaC|OggS", "a sound file"),
    (rb"\x89PNG", "an image (png)"),
    (rb"\xff\xd8\xff", "an image (jpeg)"),
    (rb"GIF8", "an image (gif)"),
    (rb"%PDF", "a document (pdf)"),
    (rb"GGUF", "a model in GGUF"),
    (rb"PK\x03\x04.{26}[^/]{1,80}/(?:data\.pkl|byteorder|version)", "PyTorch weights (pt)"),
    (rb"PK\x03\x04", "a zip archive"),
    (rb"\x28\xb5\x2f\xfd", "a compressed file (zst)"),
    (rb"\x1f\x8b", "a compressed file (gz)"),
    (rb"7z\xbc\xaf|Rar!", "an archive"),
    (rb"\x80[\x02-\x05]", "a Python pickle (pt)"),
    (rb".{8}\{\"", "tensors in safetensors, such as a model or a LoRA"),
    (rb"\s*[{\[]", "text in JSON, such as a workflow or a storyboard"),
    (rb"\s*<", "a web page"),
)
_READ = 512


def kind_of(path: Path) -> str:
    """In words: "an image (png)"; "" where it cannot be told."""
    try:
        with path.open("rb") as file:
            start = file.read(_READ)
    except OSError:
        return ""
    if not start:
        return "an empty file"
    for pattern, kind in _STARTS:
        if re.match(pattern, start, re.DOTALL):
            return kind
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        text = "" if error.start < _READ - 4 else start[: error.start].decode("utf-8")
    return "text" if text and "".join(text.split()).isprintable() else ""
