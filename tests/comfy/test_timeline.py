"""The timeline on Magi Storyboard in the real frontend, in both of its renderers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

BUILD = """async text => {
    await app.extensionManager.command.execute('Comfy.NewBlankWorkflow')
    const encoder = LiteGraph.createNode('MagiLoadTextEncoder'), board = LiteGraph.createNode('MagiStoryboard')
    encoder.pos = [0, 40]
    board.pos = [300, 40]
    for (const node of [encoder, board]) app.graph.add(node)
    encoder.connect(0, board, board.findInputSlot('text_encoder'))
    if (text) board.widgets.find(widget => widget.name === 'text').value = text
    app.canvas.ds.scale = 1
    app.canvas.ds.offset = [-260, 20]
    app.canvas.setDirty(true, true)
    app.canvas.emitBeforeChange()
    app.canvas.emitAfterChange() // a step of ComfyUI's undo
}"""
BOARD = "app.graph.nodes.find(node => node.comfyClass === 'MagiStoryboard')"
TEXT = f"{BOARD}?.widgets.find(widget => widget.name === 'text').value"
BLOCKS = "[...document.querySelectorAll('.magi-storyboard .magi-words')].map(words => words.textContent).join('|')"
MADE = "0-2: a circle moves\n3 [cut]: it turns blue\n4 [reroll 1]: it stops\n"
SHOWN = "a circle moves|it turns blue|it stops"


@pytest.mark.parametrize("page", [False], indirect=True, ids=["canvas"])  # the widget is the same in both
def test_a_storyboard_is_made_by_the_mouse_and_typing_alone(page, tmp_path: Path) -> None:
    page.evaluate(BUILD, "0: a circle")
    _until(page, BLOCKS, "a circle")
    _words(page, "a circle").dblclick()
    page.keyboard.type(" moves")
    page.get_by_role("button", name="Add a line behind (I)").click()
    page.keyboard.type("it turns blue")
    page.get_by_role("button", name="Add a line behind (I)").click()
    page.keyboard.type("it stops")
    _words(page, "it turns blue").click()
    _until(page, BLOCKS, SHOWN)
    _drag(page, page.locator(".magi-edge >> nth=0"), 2 * 112)
    _words(page, "it turns blue").click(button="right")
    page.get_by_role("menuitem", name="Direct").click()
    page.get_by_role("dialog").get_by_role("radio", name="Cut").click()
    page.locator(".magi-storyboard").get_by_role("tab", name="Timeline").click()  # away from the window
    page.locator(".magi-ruler").click(position={"x": 4 * 112 + 20, "y": 8})
    page.get_by_role("button", name="Reroll (R)").click()
    _until(page, TEXT, MADE)
    _check_it_survives(page, tmp_path)


@pytest.mark.parametrize("page", [False], indirect=True, ids=["canvas"])  # the widget is the same in both
def test_a_storyboard_is_made_by_the_keyboard_alone(page, tmp_path: Path) -> None:
    page.evaluate(BUILD, "0: a circle")
    _until(page, BLOCKS, "a circle")
    page.locator(".magi-keys").focus()
    for key in ("Enter", *" moves", "Control+Enter", *"it turns blue", "Control+Enter", *"it stops", "Enter"):
        page.keyboard.press(key)
    for key in ("r", "Home", "+", "+", "ArrowRight", "m", "ArrowRight", "ArrowRight", "ArrowRight", "Escape"):
        page.keyboard.press(key)
    _until(page, TEXT, MADE)
    _check_it_survives(page, tmp_path)


@pytest.mark.parametrize("page", [False], indirect=True, ids=["canvas"])  # the widget is the same in both
def test_delete_takes_a_line_and_not_the_node(page) -> None:
    page.evaluate(BUILD, MADE)
    _until(page, BLOCKS, SHOWN)
    _words(page, "it stops").click()
    page.keyboard.press("Delete")
    _until(page, BLOCKS, "a circle moves|it turns blue")
    page.keyboard.press("Control+z")
    _until(page, TEXT, MADE)
    assert page.evaluate("app.graph.nodes.length") == 2


def test_a_drag_on_the_timeline_does_not_move_the_node(page) -> None:
    page.evaluate(BUILD, MADE)
    _until(page, BLOCKS, SHOWN)
    before = page.evaluate(f"[...{BOARD}.pos, app.canvas.ds.scale, ...app.canvas.ds.offset]")
    _drag(page, _words(page, "it turns blue"), -3 * 112)
    _until(page, BLOCKS, "it turns blue|a circle moves|it stops")
    assert page.evaluate(f"[...{BOARD}.pos, app.canvas.ds.scale, ...app.canvas.ds.offset]") == before


def test_comfyuis_undo_leaves_the_desk_its_own_steps_and_its_zoom(page) -> None:
    page.evaluate(BUILD, MADE)
    _until(page, BLOCKS, SHOWN)
    page.get_by_role("button", name="Zoom in").click()
    wide = "document.querySelector('.magi-lane-lines').style.width"
    width = page.evaluate(wide)
    page.locator(".magi-keys").focus()
    page.keyboard.press("End")
    page.keyboard.press("Delete")
    _until(page, BLOCKS, "a circle moves|it turns blue")
    _until(page, TEXT, "0-2: a circle moves\n3 [cut]: it turns blue\n")
    page.evaluate("document.activeElement.blur()")
    page.evaluate("app.extensionManager.command.execute('Comfy.Undo')")
    _until(page, BLOCKS, SHOWN)
    _until(page, wide, width)
    page.locator(".magi-keys").focus()
    page.keyboard.press("Control+y")
    _until(page, TEXT, "0-2: a circle moves\n3 [cut]: it turns blue\n")


DRAFT = """Object.values({ ...localStorage, ...sessionStorage }).some(value =>
    value.includes('a heron wades') && !value.includes('it strikes'))"""  # ComfyUI's own: what a reload opens


@pytest.mark.parametrize("page", [False], indirect=True, ids=["canvas"])  # the widget is the same in both
def test_undo_steps_outlive_a_reload(page, frontend) -> None:
    told = "0: a heron wades\n1: it strikes\n"
    page.evaluate(BUILD, told)
    _until(page, BLOCKS, "a heron wades|it strikes")
    page.locator(".magi-keys").focus()
    page.keyboard.press("End")
    page.keyboard.press("Delete")
    _until(page, TEXT, "0: a heron wades\n")
    page.wait_for_function(DRAFT)
    page.reload()
    frontend.wait_until_ready()
    _until(page, BLOCKS, "a heron wades")
    page.locator(".magi-keys").focus()
    page.keyboard.press("Control+z")
    _until(page, TEXT, told)


def test_a_template_that_is_opened_twice_is_two_workflows(page) -> None:
    """So that neither shows what was made of the other."""
    ids = page.evaluate(OPEN_TWICE, "02 Storyboard, a line for every second")
    assert len(set(ids)) == 2 and "00000000-0000-0000-0000-000000000000" not in ids
    page.evaluate("app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')")
    _until(page, "app.rootGraph.id", ids[0])


OPEN_TWICE = """async name => {
    const file = `/api/workflow_templates/ComfyUI-MAGI/${encodeURIComponent(name)}.json`
    const ids = []
    for (let i = 0; i < 2; i++) {
        await app.loadGraphData(await (await fetch(file)).json(), true, true, name, { openSource: 'template' })
        ids.push(app.rootGraph.id)
    }
    return ids
}"""


@pytest.mark.parametrize("page", [False], indirect=True, ids=["canvas"])  # the widget is the same in both
def test_the_canvas_is_zoomed_over_the_timeline(page) -> None:
    page.evaluate(BUILD, MADE)
    _until(page, BLOCKS, SHOWN)
    _words(page, "it stops").hover()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -120)
    page.keyboard.up("Control")
    page.wait_for_function("app.canvas.ds.scale > 1")


def test_the_desk_grows_with_the_node_and_stays_inside(page) -> None:
    page.evaluate(BUILD, MADE)
    _until(page, BLOCKS, SHOWN)
    for size in ([640, 460], [800, 560]):
        page.evaluate(f"size => ({BOARD}.setSize(size), app.canvas.setDirty(true, true))", size)
        page.wait_for_function(
            """([width, height]) => {
                const desk = document.querySelector('.magi-storyboard')
                const high = desk.offsetHeight
                return Math.abs(desk.offsetWidth - width) < 40 && high > height - 250 && high < height - 60
            }""",
            arg=size,
        )


@pytest.mark.parametrize("page", [False], indirect=True, ids=["canvas"])  # the widget is the same in both
def test_a_mistake_is_told_at_its_line(page) -> None:
    page.evaluate(BUILD, MADE)
    _until(page, BLOCKS, SHOWN)
    page.locator(".magi-storyboard").get_by_role("tab", name="Text").click()
    page.locator(".magi-text").fill("0: a circle\n1 [cutt]: a square")
    page.wait_for_selector(".magi-wrong-line")
    assert "[cutt]" in page.locator(".magi-wrong-line").inner_text()
    assert "unknown tag [cutt]" in page.locator(".magi-mistake").inner_text()


@pytest.mark.parametrize("page", [False], indirect=True, ids=["canvas"])  # the widget is the same in both
def test_a_linked_text_is_left_to_its_node(page) -> None:
    page.evaluate(BUILD, MADE)
    _until(page, BLOCKS, SHOWN)
    page.evaluate(f"""() => {{
        const words = LiteGraph.createNode('PrimitiveStringMultiline')
        app.graph.add(words)
        words.connect(0, {BOARD}, {BOARD}.findInputSlot('text'))
    }}""")
    page.wait_for_selector(".magi-linked")
    assert "another node" in page.locator(".magi-banner").inner_text()
    assert page.evaluate(f"{BOARD}.widgets.find(widget => widget.name === 'text').options.hidden") is False
    page.evaluate(f"{BOARD}.disconnectInput({BOARD}.findInputSlot('text'))")
    page.wait_for_selector(".magi-linked", state="detached")
    _until(page, BLOCKS, SHOWN)


@pytest.mark.parametrize("page", [False], indirect=True, ids=["canvas"])  # the widget is the same in both
def test_the_desk_works_inside_a_subgraph(page) -> None:
    page.evaluate(BUILD, MADE)
    page.evaluate(f"app.canvas.setGraph(app.graph.convertToSubgraph(new Set([{BOARD}])).node.subgraph)")
    _until(page, BLOCKS, SHOWN)
    page.locator(".magi-keys").focus()
    page.keyboard.press("Delete")
    _until(
        page,
        "app.canvas.graph.nodes.find(node => node.comfyClass === 'MagiStoryboard').widgets[0].value",
        "0 [cut]: it turns blue\n1 [reroll 1]: it stops\n",
    )


def _check_it_survives(page, tmp_path: Path) -> None:
    """What was made is in the workflow that is saved, comes back with it, and is undone and done again by ComfyUI."""
    _until(page, BLOCKS, SHOWN)
    saved = page.evaluate("app.graph.serialize()")
    values = next(node["widgets_values"] for node in saved["nodes"] if node["type"] == "MagiStoryboard")
    assert values[0] == MADE and "magi_desk" not in json.dumps(saved)
    assert page.evaluate("app.extensionManager.workflow.activeWorkflow.isModified")
    page.evaluate("document.activeElement.blur()")
    page.evaluate("app.extensionManager.command.execute('Comfy.Undo')")
    page.wait_for_function(f"{TEXT} && {TEXT} !== {json.dumps(MADE)}")
    page.evaluate("app.extensionManager.command.execute('Comfy.Redo')")
    _until(page, TEXT, MADE)
    _until(page, BLOCKS, SHOWN)
    page.evaluate("saved => app.loadGraphData(saved)", saved)
    _until(page, TEXT, MADE)
    _until(page, BLOCKS, SHOWN)


def _words(page, words: str) -> Any:
    return page.locator(".magi-storyboard .magi-words", has_text=words)


def _drag(page, handle, by: float) -> None:
    handle.hover()
    box = handle.bounding_box()
    x, y = box["x"] + 4, box["y"] + 6
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(x + by * step / 8, y)
    page.mouse.up()


def _until(page, value: str, expected: str) -> None:
    try:
        page.wait_for_function(f"expected => {value} === expected", arg=expected)
    except Exception:
        raise AssertionError(f"it is {page.evaluate(value)!r} and not {expected!r}") from None
