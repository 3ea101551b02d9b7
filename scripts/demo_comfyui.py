"""Renders a workflow in a ComfyUI of its own over the HTTP API. The user's ComfyUI folder stays as it is."""

from __future__ import annotations

import tempfile
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from scripts.workflow import Graph
from tools.comfyui.server import Server, base_directory

LIMIT = 900.0  # seconds; the demo takes about one minute on two cores
LOG_LINES = 15


def render(comfyui: Path, graph: Graph, out: Path) -> None:
    """Queue `graph` in a ComfyUI started for it, and save the video it makes as `out`.

    Raises `RuntimeError` or `OSError`, in words, when ComfyUI does not start, refuses the workflow or fails.
    """
    with tempfile.TemporaryDirectory() as folder, Server(comfyui, base_directory(Path(folder) / "base")) as server:
        try:
            prompt = server.submit(graph, client="demo")
        except RuntimeError as error:
            raise RuntimeError(f"ComfyUI refused the workflow: {error}\n{_log(server)}") from error
        try:
            entry = server.wait_for(prompt, LIMIT)
        except OSError as error:
            raise RuntimeError(f"ComfyUI stopped while rendering ({error})\n{_log(server)}") from error
        if entry["status"]["status_str"] != "success":
            raise RuntimeError(f"the workflow failed in ComfyUI\n{_log(server)}")
        query = urllib.parse.urlencode(_saved_video(entry))
        with urllib.request.urlopen(f"{server.url}/view?{query}", timeout=60) as answer:
            out.write_bytes(answer.read())


def _saved_video(entry: dict[str, Any]) -> dict[str, str]:
    """Name, sub folder and type of the one file that the finished prompt saved."""
    lists = [files for output in entry["outputs"].values() for files in output.values()]
    saved = [file for files in lists for file in files if isinstance(file, dict) and "filename" in file]
    if len(saved) != 1:
        raise RuntimeError(f"one video was expected from ComfyUI, but it saved {len(saved)} files")
    return {key: saved[0][key] for key in ("filename", "subfolder", "type")}


def _log(server: Server) -> str:
    return f"The end of its log:\n{server.log_tail(LOG_LINES)}"
