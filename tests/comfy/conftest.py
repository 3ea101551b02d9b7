"""A real ComfyUI and its real frontend, shared by the tests of this folder.

Without them the tests are skipped and say how to get them. With them, a skip is a failure.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tools.comfyui.find import HOW_TO, find_chromium, find_comfyui
from tools.comfyui.server import Server, base_directory

if TYPE_CHECKING:
    from tools.comfyui.frontend import Frontend

VIEWPORT = {"width": 1000, "height": 640}
FAILED = pytest.StashKey[bool]()


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
    if report.failed:
        item.stash[FAILED] = True


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


@pytest.fixture(scope="package")
def tabs(browser: Any) -> dict[tuple[bool, str], Frontend]:
    """Pages that are open already, by renderer and language: to open one takes as long as ten tests on it."""
    return {}


@pytest.fixture
def frontend(
    request: pytest.FixtureRequest, server: Server, browser: Any, tabs: dict[tuple[bool, str], Frontend]
) -> Iterator[Frontend]:
    """An empty workflow in a page, in the renderer that the parameter `page` or `nodes_2` of the test names."""
    from tools.comfyui.frontend import FIRST_VISIT_DONE, Frontend

    asked = getattr(request.node, "callspec", None)
    nodes_2 = bool(asked and (asked.params.get("page") or asked.params.get("nodes_2")))
    server.post("/settings", {**FIRST_VISIT_DONE, "Comfy.VueNodes.Enabled": nodes_2})
    kind = (nodes_2, server.get("/settings").get("Comfy.Locale", "en"))
    if kind not in tabs:
        tabs[kind] = Frontend(browser.new_page(viewport=VIEWPORT), server.url)
    tab = tabs[kind]
    tab.forget()
    tab.page.set_viewport_size(VIEWPORT)
    tab.page.set_default_timeout(30_000)
    yield tab
    if request.node.stash.get(FAILED, False):  # nobody knows what it looks like
        tabs.pop(kind).page.close()
    else:
        tab.begin_anew()  # now: clips that play on take the time of the tests on other pages


@pytest.fixture(params=[False, True], ids=["canvas", "nodes 2.0"])
def page(request: pytest.FixtureRequest, frontend: Frontend) -> Iterator[Any]:
    """The open page, in one of the two renderers."""
    yield frontend.page
    assert not frontend.errors
