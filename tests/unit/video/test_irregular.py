"""What is no regular file is not opened as a picture or a video."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from magi_core.errors import MagiError
from magi_core.video.files import read_video
from magi_core.video.images import read_image

REPOSITORY = Path(__file__).parents[3]
GIGABYTE = 1 << 30


@pytest.fixture(params=["pipe", "device", "folder", "socket"])
def irregular(request, tmp_path):
    path = tmp_path / "given.png"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "device":
        path = Path("/dev/zero")
    elif request.param == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    return path, request.param


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("read", [read_image, read_video])
def test_only_regular_files_are_opened(irregular, read):
    path, kind = irregular
    with pytest.raises(MagiError, match=f"is a {kind}, not an? (image|video)"):
        read(path)
