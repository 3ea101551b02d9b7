"""Another build of ComfyUI's frontend for the tests: a release of the package, unpacked."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

PACKAGE = "comfyui-frontend-package"
INSIDE = PurePosixPath("comfyui_frontend_package/static")
USUAL_PLACE = Path.home() / "comfy" / "frontends"


class NoFrontend(Exception):
    """There is no such frontend; the message says why."""


def provide_frontend(release: str, to: Path = USUAL_PLACE) -> Path:
    """The folder with the files of a release, got with pip where they are not there yet. Raises `NoFrontend`."""
    folder = to / release
    if (folder / INSIDE / "index.html").is_file():
        return folder / INSIDE
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", place, f"{PACKAGE}=={release}"]
        done = subprocess.run(command, capture_output=True, text=True)
        wheels = list(Path(place).glob("*.whl"))
        if done.returncode or not wheels:
            raise NoFrontend(f"pip has no {PACKAGE} {release}:\n{done.stderr[-1500:]}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            wheel.extractall(folder, [name for name in wheel.namelist() if PurePosixPath(name).is_relative_to(INSIDE)])
    return folder / INSIDE
