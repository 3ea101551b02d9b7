"""Write `docs/images/desk_*.jpg`, the pictures of docs/first_ten_seconds.md: `python -m tools.workflows.guide`.

What the guide tells is done in a real ComfyUI. Prices and times are in the pictures: the machine should have nothing
else to do.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tools.comfyui.find import REPOSITORY, find_chromium, find_comfyui
from tools.comfyui.frontend import BROWSER_FLAGS, FIRST_VISIT_DONE, Frontend
from tools.comfyui.server import Server, base_directory

WORKFLOW = REPOSITORY / "workflows" / "02 Storyboard, a line for every second.json"
IMAGES = REPOSITORY / "docs" / "images"
BEFORE = "0-4: a big red box moves left by day"  # run once, so that there is a price
STORY = """0-1: a big yellow star moves right by day
2: it turns purple
3: it starts to rain
4: it moves left
5: the rain stops
6 [new_shot]: a big red circle bounces by day
7: it starts to snow
8: it turns orange
9: the camera zooms in
"""
LINE, OTHER = "a big red circle bounces by day", "a big green square moves right at night"
BOARD = "app.graph.nodes.find(node => node.comfyClass === 'MagiStoryboard')"
PLACE = f"""() => {{
    const board = {BOARD}
    board.setSize([1185, 330])
    for (const node of app.graph.nodes) if (node !== board) node.pos = [node.pos[0], node.pos[1] + 2000]
    for (const group of [...app.graph.groups]) app.graph.remove(group)
    app.canvas.ds.scale = 1
    app.canvas.ds.offset = [150 - board.pos[0], 280 - board.pos[1]]
    app.canvas.setDirty(true, true)
}}"""
TELL = f"""text => {{
    const widget = {BOARD}.widgets.find(widget => widget.name === 'text')
    app.canvas.emitBeforeChange()
    widget.value = text
    widget.callback?.(text)
    app.canvas.emitAfterChange()
}}"""
CORNERS = f"""() => {{
    const board = {BOARD}, canvas = app.canvas.canvas.getBoundingClientRect(), [x, y] = app.canvas.ds.offset
    return [board.pos[0] + x + canvas.x, board.pos[1] + y + canvas.y - 30, board.size[0], board.size[1] + 30]
}}"""
SHOWN = "document.querySelector('.magi-storyboard')?.innerText ?? ''"
QUALITY, GAP, GREEN = 84, 16, (51, 85, 51)
WAIT = 600_000  # milliseconds


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        Server(find_comfyui(), base_directory(Path(folder) / "base")) as server,
    ):
        server.post("/settings", {**FIRST_VISIT_DONE, "Comfy.VueNodes.Enabled": False})
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=BROWSER_FLAGS)
        tab = Frontend(browser.new_page(viewport={"width": 1500, "height": 900}), server.url)
        for name, picture in _pictures(tab, server).items():
            picture.save(IMAGES / f"desk_{name}.jpg", quality=QUALITY)
        browser.close()


def _pictures(tab: Frontend, server: Server) -> dict[str, Image.Image]:
    page, made = tab.page, {}
    _open(tab, BEFORE)
    _run(tab, server)
    tab.begin_anew()
    _open(tab, STORY)
    _until(page, "chunks 0–9: 109 chunk-forwards, about")
    made["price"] = _node(page)
    _run(tab, server, lambda: made.setdefault("running", _node(page)))
    _until(page, "Nothing is made")
    page.evaluate("document.querySelectorAll('.p-blockui-mask').forEach(mask => mask.remove())")  # leaves late
    page.locator(".magi-storyboard .magi-words").filter(has_text=LINE).dblclick()
    page.keyboard.press("Control+a")
    page.keyboard.type(OTHER)
    _until(page, "chunks 6–9: ")
    made["edit"] = _node(page)
    page.keyboard.press("Enter")
    _until(page, "chunks 6–9: ")
    three = [_timeline(page)]
    _run(tab, server)
    _until(page, "Nothing is made")
    three.append(_timeline(page))
    page.locator(".magi-storyboard .magi-keys").focus()
    page.keyboard.press("Control+z")
    page.wait_for_function(f"text => ({SHOWN}).includes(text)", arg=LINE)
    _until(page, "Nothing is made")
    made["revert"] = _stacked([*three, _timeline(page)])
    return made


def _open(tab: Frontend, story: str) -> None:
    tab.drop(WORKFLOW)
    tab.page.evaluate(PLACE)
    tab.page.wait_for_selector(".magi-storyboard")
    tab.page.evaluate(TELL, story)


def _until(page: Page, text: str) -> None:
    page.wait_for_function(f"text => ({SHOWN}).includes(text)", arg=text, timeout=WAIT)
    page.wait_for_timeout(2000)  # clips begin to play


def _run(tab: Frontend, server: Server, halfway: Callable[[], Any] | None = None) -> None:
    """Until it is done. halfway: called while four chunks are in flight and two are queued."""
    prompt = tab.queue()
    while not (entry := server.get(f"/history/{prompt}")):
        cells = tab.page.evaluate(SHOWN)
        if halfway is not None and all(f"{k}/4" in cells for k in (1, 2, 3, 4)) and cells.count("queued") == 2:
            halfway()
        tab.page.wait_for_timeout(100)
    assert entry[prompt]["status"]["status_str"] == "success", entry[prompt]["status"]


def _node(page: Page) -> Image.Image:
    page.mouse.move(5, 5)
    x, y, width, height = page.evaluate(CORNERS)
    return _picture(page.screenshot(clip={"x": x, "y": y, "width": width, "height": height}))


def _timeline(page: Page) -> Image.Image:
    page.mouse.move(5, 5)
    return _picture(page.locator(".magi-storyboard").screenshot())


def _picture(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def _stacked(pictures: list[Image.Image]) -> Image.Image:
    whole = Image.new("RGB", (pictures[0].width, sum(one.height + GAP for one in pictures) - GAP), GREEN)
    top = 0
    for one in pictures:
        whole.paste(one, (0, top))
        top += one.height + GAP
    return whole


if __name__ == "__main__":
    main()
