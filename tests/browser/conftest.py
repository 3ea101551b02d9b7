"""This pack's JavaScript in a real browser, on a page without ComfyUI: only `app` and `api` are there, made for tests.

Without a browser the tests are skipped and say how to get one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tools.comfyui.find import HOW_TO, REPOSITORY, find_chromium

HERE = Path(__file__).parent
SITE = "http://desk.test"
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".mp4": "video/mp4"}
FRAMES = 24


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


@pytest.fixture
def page(browser: Any, clip: Path) -> Iterator[Any]:
    """A page of this site: /extensions/magi is js/, /scripts are ComfyUI's, and any clip is the same.

    What nobody caught fails the test. `page.fetched`: routes of the server that the page fetched by itself.
    """
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    errors: list[str] = []
    page.fetched = []
    page.on("pageerror", lambda error: errors.append(error.stack or str(error)))
    page.route(f"{SITE}/**", lambda route: _answer(route, clip, page.fetched))
    page.goto(f"{SITE}/")
    yield page
    page.close()
    assert not errors, errors


def _answer(route: Any, clip: Path, fetched: list[str]) -> None:
    path = route.request.url.removeprefix(SITE).split("?")[0]
    if path.startswith("/api/"):
        fetched.append(route.request.url.removeprefix(SITE))
        if path == "/api/view" and "gone" not in route.request.url:
            _answer_part(route, clip.read_bytes())
        else:
            route.fulfill(status=404)
        return
    file = HERE / "page.html" if path == "/" else HERE / path[1:]
    if path.startswith("/extensions/magi/"):
        file = REPOSITORY / "js" / path.removeprefix("/extensions/magi/")
    if file.is_file():
        route.fulfill(body=file.read_bytes(), content_type=TYPES[file.suffix])
    else:
        route.fulfill(status=404)


def _answer_part(route: Any, content: bytes) -> None:
    """As ComfyUI does: a browser moves within a video only where it may ask for parts of it."""
    first, _, last = route.request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
    start, end = int(first), int(last or len(content) - 1)
    headers = {"Accept-Ranges": "bytes", "Content-Range": f"bytes {start}-{end}/{len(content)}"}
    route.fulfill(status=206, body=content[start : end + 1], content_type="video/mp4", headers=headers)
