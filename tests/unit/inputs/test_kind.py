"""A file that was taken for something else is named for what it is."""

from __future__ import annotations

import pytest

from magi_core.inputs.kind import kind_of


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "an empty file"),
        (b"\0\0\0\x20ftypisom" + bytes(30), "a video (mp4 or mov)"),
        (b"\x1a\x45\xdf\xa3" + bytes(30), "a video (mkv or webm)"),
        (b"\x89PNG\r\n\x1a\n", "an image (png)"),
        (b"RIFF\1\2\3\4WEBPVP8 ", "an image (webp)"),
        (b"PK\x03\x04" + bytes(26) + b"archive/data.pkl", "PyTorch weights (pt)"),
        (b"PK\x03\x04" + bytes(26) + b"word/x.xml", "a zip archive"),
        (b"GGUF\3\0\0\0", "a model in GGUF"),
        (b"\x40\0\0\0\0\0\0\0" + b'{"x":{}}', "tensors in safetensors, such as a model or a LoRA"),
        (b'{"nodes": []}', "text in JSON, such as a workflow or a storyboard"),
        (b"0: a ball\n1: it stops\n", "text"),
        ("0: ein Bär\n".encode(), "text"),
        (bytes(range(128, 160)) * 9, ""),
    ],
)
def test_kinds(tmp_path, content, kind):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert kind_of(path) == kind


def test_what_cannot_be_opened_is_of_no_kind(tmp_path):
    assert kind_of(tmp_path / "nothing") == ""
