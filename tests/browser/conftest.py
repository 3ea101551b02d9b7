"""This pack's JavaScript in a real browser, on a page without ComfyUI: only `app` and `api` are there, made for tests.

Without a browser the tests are skipped and say how to get one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import av
import numpy as np
import pytest

from tests.browser import boards
from tools.comfyui.find import HOW_TO, REPOSITORY, find_chromium

HERE = Path(__file__).parent
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
FRAMES = 24
RATE = 16000


def pytest_runtest_setup(item: pytest.Item) -> None:
    if "browser" not in getattr(item, "fixturenames", ()):
        return
    if find_chromium() is None:
        pytest.skip(f"no Chromium: install your system's, or set CHROMIUM_PATH; {HOW_TO}")
    if importlib.util.find_spec("playwright") is None:
        pytest.skip(f"no playwright: pip install playwright; {HOW_TO}")


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    from tools.comfyui.frontend import BROWSER_FLAGS

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=BROWSER_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of video: a square that moves right."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAMES, options={"crf": "28"})
        stream.width, stream.height, stream.pix_fmt = 128, 128, "yuv420p"
        for i in range(FRAMES):
            picture = np.full((128, 128, 3), 40, np.uint8)
            picture[40:88, 4 * i : 4 * i + 30] = (220, 90, 60)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


class Site(ThreadingHTTPServer):
    """/extensions/magi is js/, /scripts are ComfyUI's, any clip and any sound is the same.

    `fetched`: addresses below /api/ that were asked for. Not by Playwright's routes: they take ten times as long.
    """

    def __init__(self, clip: bytes, sound: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.media = {"mp4": (clip, "video/mp4"), "m4a": (sound, "audio/mp4")}
        self.fetched: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/"):
            self.server.fetched.append(self.path)
            name = parse_qs(urlsplit(self.path).query).get("filename", [""])[0]
            if path == "/api/view" and "gone" not in name:
                self._answer_part(*self.server.media[name.rpartition(".")[2]])
            else:
                self._answer(404)
            return
        file = HERE / "page.html" if path == "/" else HERE / path[1:]
        if path.startswith("/extensions/magi/"):
            file = REPOSITORY / "js" / path.removeprefix("/extensions/magi/")
        if file.is_file():
            self._answer(200, file.read_bytes(), TYPES[file.suffix], {"Cache-Control": "max-age=3600"})
        else:
            self._answer(404)

    def _answer(self, status: int, body: bytes = b"", kind: str = "", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):  # the page is gone
            self.wfile.write(body)

    def _answer_part(self, content: bytes, kind: str) -> None:
        """As ComfyUI does: a browser moves within a video only where it may ask for parts of it."""
        first, _, last = (self.headers["Range"] or "bytes=0-").removeprefix("bytes=").partition("-")
        start, end = int(first), int(last or len(content) - 1)
        span = {"Accept-Ranges": "bytes", "Content-Range": f"bytes {start}-{end}/{len(content)}"}
        self._answer(206, content[start : end + 1], kind, span)


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of a tone."""
    path = tmp_path_factory.mktemp("sounds") / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        wave = 0.3 * np.sin(2 * np.pi * 220 * np.arange(4 * RATE) / RATE)
        for start in range(0, len(wave), 1024):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024].astype(np.float32), "fltp", "mono")
            frame.rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def site(clip: Path, sound: Path) -> Iterator[Site]:
    with Site(clip.read_bytes(), sound.read_bytes()) as site:
        Thread(target=site.serve_forever, daemon=True).start()
        yield site
        site.shutdown()


@pytest.fixture(scope="package")
def tab(browser: Any) -> Any:
    """One tab for all tests: what a new one takes a second for, the files of js/, it has ready."""
    return browser.new_page(viewport={"width": 1000, "height": 700})


@pytest.fixture
def page(tab: Any, site: Site) -> Iterator[Any]:
    """A new page of the site. What nobody caught fails the test. `page.fetched`: what it asked for below /api/."""
    errors: list[str] = []

    def keep(error: Any) -> None:
        errors.append(error.stack or str(error))

    tab.goto("about:blank")
    tab.mouse.move(0, 0)
    site.fetched.clear()
    tab.fetched = site.fetched
    tab.on("pageerror", keep)
    tab.set_viewport_size({"width": 1000, "height": 700})
    tab.goto(site.url)
    yield tab
    tab.remove_listener("pageerror", keep)
    tab.context.clear_permissions()
    assert not errors, errors


@pytest.fixture(scope="package")
def grammar(tab: Any) -> None:
    tab.expose_function("readStory", boards.read)
    tab.expose_function("writeStory", boards.write)


@pytest.fixture
def board(page: Any, grammar: None) -> Iterator[Any]:
    """The page with `boards.TEXT` on a storyboard, and a sampler behind it."""
    page.set_default_timeout(boards.LIMIT)
    page.evaluate(boards.BUILD, boards.TEXT)
    boards.shows(page, "a circle moves|it turns blue|a square|it stops")
    yield page
    page.set_default_timeout(30_000)
