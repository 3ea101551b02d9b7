"""Whether the desk can be read and reached: contrast as it is computed, order of focus, room for its tools."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.boards import on, press

THEMES = pytest.mark.parametrize("theme", ["", "light"], ids=["dark", "light"])
SHOW = """async theme => {
    document.documentElement.className = theme
    api.answers['/jobs/p'] = { workflow_id: 'workflow' }
    api.answers['/magi/sound'] = { key: 's', seconds: 6, rate: 4, peaks: Array(24).fill(99), filename: 's.m4a' }
    const kinds = ['kept', 'remembered', 'remembered', 'computed', 'computed', 'computed']
    const chunks = kinds.map((kind, index) => ({ index, key: `k${index}`, kind }))
    const place = { prompt_id: 'p', node_id: '5', run: 'r' }
    const size = { first: 0, cost: 40, seconds: 20, fps: 24, width: 96, height: 96, notes: [], chunks }
    api.tell('magi.plan', { ...place, ...size, chunks: [...chunks], sound: { key: 's', start: 0 } })
    api.tell('magi.progress', { ...place, done: 3, chunks: 6, step: 1, steps: 9, seconds_left: 9,
        flight: [{ index: 3, key: 'k3', stage: 1, stages: 4, t: 0.3 }] })
    const { cells } = await import('/extensions/magi/desk/live.js')
    while (!cells.counts('workflow')) await new Promise(requestAnimationFrame)
    chunks[2] = { index: 2, key: 'other', kind: 'computed' }
    cells.wanted('workflow', [{ node_id: '5', ...size, sound: { key: 's', start: 0 } }])
}"""
# Contrast is measured on a canvas, which puts colours over one another as the page does.
MEASURE = """() => {
    const canvas = document.createElement('canvas')
    const brush = canvas.getContext('2d', { willReadFrequently: true })
    const light = colours => {
        brush.clearRect(0, 0, 1, 1)
        for (const colour of colours) (brush.fillStyle = colour, brush.fillRect(0, 0, 1, 1))
        const [r, g, b] = [...brush.getImageData(0, 0, 1, 1).data].map(part => part / 255).map(part =>
            part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
    }
    const behind = element => {
        const colours = []
        const put = each => colours.unshift(getComputedStyle(each).backgroundColor)
        for (let each = element; each; each = each.parentElement) put(each)
        return colours
    }
    window.contrast = (element, colour, around = element) => {
        const under = behind(around)
        const pair = [light([...under, colour]), light(under)]
        return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05)
    }
    const seen = element => element.checkVisibility({ visibilityProperty: true, opacityProperty: true })
        && !element.closest(':disabled, .magi-mirror, option')
    const says = element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())
    window.illegible = () => [...document.querySelectorAll('.magi-desk *, .magi-popover *, dialog[open] *')]
        .filter(element => says(element) && seen(element))
        .map(each => [`${each.className}: ${each.textContent}`, contrast(each, getComputedStyle(each).color)])
        .filter(([, ratio]) => ratio < 4.5)
    window.faint = marks => marks.map(([selector, property, around, pseudo]) => {
        const element = document.querySelector(selector)
        const colour = getComputedStyle(element, pseudo)[property]
        return [selector, contrast(element, colour, around && element.closest(around))]
    }).filter(([, ratio]) => ratio < 3)
}"""
MARKS = [
    [".magi-button:not(:disabled) .magi-icon", "color"],
    [".magi-row-sound svg", "fill"],
    [".magi-playhead", "borderBottomColor", ".magi-ruler, .magi-content"],
    [".magi-selected > .magi-block", "borderTopColor", ".magi-row"],
    [".magi-block[data-transition=cut]", "borderLeftColor"],
    [".magi-tab[aria-selected=true]", "color"],
    [".magi-cell[data-state=denoising]", "borderTopColor", ".magi-slot"],
    [".magi-cell[data-stale] > .magi-cell-mark", "backgroundColor", "div", "::before"],
]


@pytest.fixture
def shown(board: Any, theme: str) -> Any:
    board.evaluate(SHOW, theme)
    board.wait_for_selector(".magi-lane-chunks .magi-cell[data-stale]")
    board.wait_for_selector(".magi-storyboard .magi-row-sound svg")
    board.evaluate(MEASURE)
    return board


@THEMES
def test_what_is_written_can_be_read(shown: Any) -> None:
    assert shown.evaluate("illegible()") == []
    on(shown, "a square").click(button="right")
    assert shown.evaluate("illegible()") == []
    press(shown, "Escape", "m")
    shown.get_by_role("dialog").wait_for()
    assert shown.evaluate("illegible()") == []
    press(shown, "Escape")
    shown.locator(".magi-lane-chunks .magi-cell").first.click()
    shown.locator("dialog[open]").wait_for()
    assert shown.evaluate("illegible()") == []


@THEMES
def test_marks_can_be_told_from_what_is_around_them(shown: Any) -> None:
    on(shown, "a square").click()
    assert shown.evaluate("marks => faint(marks)", MARKS) == []


@pytest.mark.parametrize("theme", [""])
def test_the_keyboard_goes_through_the_desk_as_one_reads_it(shown: Any) -> None:
    shown.locator(".magi-tab >> nth=0").focus()
    places = []
    for _ in range(20):
        if not shown.evaluate("!!document.activeElement.closest('.magi-storyboard')"):
            break
        places.append(
            shown.evaluate("""(() => {
                const of = document.activeElement
                const { left, top } = of.getBoundingClientRect()
                return [Math.round((top + 10) / 20), left, of.ariaLabel ?? of.textContent]
            })()""")
        )
        press(shown, "Tab")
    assert len(places) > 5 and all(name for *_, name in places)
    assert [place[:2] for place in places] == sorted(place[:2] for place in places), places


@pytest.mark.parametrize("theme", [""])
@pytest.mark.parametrize("width", [640, 430, 340, 220])
def test_every_tool_is_there_however_narrow_the_node_is(shown: Any, width: int) -> None:
    shown.evaluate("width => document.querySelector('.node').style.width = `${width}px`", width)
    tools = shown.locator(".magi-tools button:visible")
    desk = shown.locator(".magi-storyboard").bounding_box()
    names = set()
    for tool in tools.all():
        box = tool.bounding_box()
        assert box["x"] + box["width"] <= desk["x"] + desk["width"], "nothing is cut off"
        names.add(tool.get_attribute("aria-label").split(" (")[0])
    more = shown.get_by_role("button", name="More tools")
    if more.is_visible():
        more.click()
        names |= {item.inner_text().split("\n")[0] for item in shown.get_by_role("menuitem").all()}
        press(shown, "Escape")
    wanted = {"Direct…", "Reroll", "Add a line behind", "Split at the playhead", "Duplicate", "Delete", "Undo", "Redo"}
    assert names >= wanted | {"Zoom in", "Zoom out", "Show all"}


@pytest.mark.parametrize("theme", [""])
@pytest.mark.parametrize("height", [700, 420])
def test_the_window_that_directs_a_line_leaves_the_line_and_its_chunks_to_be_seen(shown: Any, height: int) -> None:
    shown.set_viewport_size({"width": 1000, "height": height})
    on(shown, "it turns blue").click()
    press(shown, "m")
    dialog = shown.get_by_role("dialog").bounding_box()
    for seen in (on(shown, "it turns blue"), shown.locator(".magi-lane-chunks .magi-cell[data-index='2']").first):
        box = seen.bounding_box()
        beside = dialog["x"] >= box["x"] + box["width"] or dialog["x"] + dialog["width"] <= box["x"]
        assert beside or dialog["y"] >= box["y"] + box["height"] or dialog["y"] + dialog["height"] <= box["y"]
    assert dialog["y"] >= 0 and dialog["y"] + dialog["height"] <= height
