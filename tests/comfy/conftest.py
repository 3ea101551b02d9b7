"""A real ComfyUI and its real frontend, shared by the tests of this folder.

Without them the tests are skipped and say how to get them. With them, a skip is a failure.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.comfyui.find import HOW_TO, find_chromium, find_comfyui
from tools.comfyui.server import Server, base_directory


def _missing(item: pytest.Item) -> str:
    """What `item` needs and this machine lacks, in words, or nothing."""
    names = getattr(item, "fixturenames", ())
    if find_comfyui() is None and {"server", "comfyui"} & set(names):
        return f"no ComfyUI: set COMFYUI_PATH, or put one at ~/comfy/ComfyUI; {HOW_TO}"
    if "browser" in names and find_chromium() is None:
        return f"no Chromium: install your system's, or set CHROMIUM_PATH; {HOW_TO}"
    if "browser" in names and importlib.util.find_spec("playwright") is None:
        return f"no playwright: pip install playwright; {HOW_TO}"
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if reason := _missing(item):
        pytest.skip(reason)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = (yield).get_result()
    if report.skipped and not _missing(item):
        report.outcome = "failed"
        report.longrepr = f"skipped although everything it needs is here: {report.longrepr}"


@pytest.fixture(scope="session")
def comfyui() -> Path:
    return find_comfyui()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(find_comfyui(), base_directory(tmp_path_factory.mktemp("comfyui") / "base")) as running:
        yield running


@pytest.fixture(scope="package")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    from tools.comfyui.frontend import BROWSER_FLAGS

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=BROWSER_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def frontend(server: Server, browser) -> Iterator:
    from tools.comfyui.frontend import FIRST_VISIT_DONE, Frontend

    server.post("/settings", FIRST_VISIT_DONE)
    page = browser.new_page(viewport={"width": 1000, "height": 640})
    yield Frontend(page, server.url)
    page.close()


@pytest.fixture(params=[False, True], ids=["canvas", "nodes 2.0"])
def page(request: pytest.FixtureRequest, server: Server, frontend) -> Iterator:
    """The open page, in one of the two renderers."""
    server.post("/settings", {"Comfy.VueNodes.Enabled": request.param})
    try:
        frontend.page.reload()
        frontend.wait_until_ready()
        yield frontend.page
        assert not frontend.errors
    finally:
        server.post("/settings", {"Comfy.VueNodes.Enabled": False})
