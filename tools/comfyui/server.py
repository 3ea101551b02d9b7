"""A ComfyUI as a separate process, with a base directory of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.comfyui.find import REPOSITORY, interpreter

PACK = "ComfyUI-MAGI"  # the folder name users get when they clone the repository
START_LIMIT = 180.0  # seconds; a first start compiles Python files


def base_directory(folder: Path) -> Path:
    """A base directory for one server: this repository as its only pack, nothing else."""
    (folder / "custom_nodes").mkdir(parents=True)
    (folder / "input").mkdir()
    (folder / "custom_nodes" / PACK).symlink_to(REPOSITORY, target_is_directory=True)
    return folder


class Server:
    """A running ComfyUI; use as a context manager. Without `flags` of its own it has those of all tests."""

    def __init__(self, comfyui: Path, base: Path, flags: Sequence[str] | None = None) -> None:
        self.comfyui, self.base, self.flags = comfyui, base, _flags() if flags is None else flags
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = base / "server.log"

    def __enter__(self) -> Server:
        command = [interpreter(self.comfyui), "main.py", "--disable-api-nodes", *self.flags]
        command += ["--port", self.url.rpartition(":")[2], "--base-directory", str(self.base)]
        command += ["--database-url", "sqlite:///:memory:"]
        with self.log.open("w") as log:
            self._process = subprocess.Popen(command, cwd=self.comfyui, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline and self.running:
            try:
                self.get("/system_stats")
                return self
            except OSError:
                time.sleep(0.5)
        self.__exit__()
        raise RuntimeError(f"ComfyUI did not start:\n{self.log_tail()}")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def process(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def get(self, path: str) -> Any:
        """The JSON at `path`."""
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)

    def post(self, path: str, body: Any) -> bytes:
        """What the server answers to `body`, sent as JSON. What it refuses is raised with its reason."""
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.read().decode()}") from None

    def submit(self, graph: dict[str, Any], client: str = "tests") -> str:
        """Queue a graph in ComfyUI's API format; returns the prompt's id. `client` receives the progress messages."""
        return json.loads(self.post("/prompt", {"prompt": graph, "client_id": client}))["prompt_id"]

    def wait_for(self, prompt_id: str, limit: float) -> dict[str, Any]:
        """The history entry of a finished prompt."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            try:
                entry = self.get(f"/history/{prompt_id}").get(prompt_id)
            except TimeoutError:  # a busy machine; the prompt has until the deadline
                continue
            if entry:
                return entry
            time.sleep(0.3)
        raise TimeoutError(f"the prompt did not finish in {limit:.0f} s:\n{self.log_tail()}")

    def saved(self, entry: dict[str, Any]) -> list[Path]:
        """Files that a finished prompt saved."""
        files = [file for output in entry["outputs"].values() for files in output.values() for file in files]
        files = [file for file in files if isinstance(file, dict) and "filename" in file]
        return [self.base / file["type"] / file["subfolder"] / file["filename"] for file in files]

    def log_tail(self, lines: int = 60) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _flags() -> list[str]:
    """What ComfyUI is started with: COMFYUI_FLAGS, which may be empty, or else on the CPU."""
    return os.environ.get("COMFYUI_FLAGS", "--cpu").split()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
