"""What the pack adds to the frontend, and the shipped workflows in both of its renderers."""

from __future__ import annotations

import json
from itertools import combinations, pairwise, product
from typing import Any

import pytest

from tools.comfyui.find import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / "workflows").glob("*.json"))
CONTROL = "control_after_generate"
PLAIN = ["width", "height", "chunks", "seed", CONTROL, "steps", "text_guidance", "previous_guidance"]

ADD_SAMPLER = """() => {
    app.graph.clear()
    app.canvas.ds.reset() // what is out of sight is not laid out
    const node = LiteGraph.createNode('MagiChunkSampler')
    app.graph.add(node)
}"""
LINK = """name => {
    const number = LiteGraph.createNode('PrimitiveInt')
    app.graph.add(number)
    number.connect(0, app.graph.nodes[0], app.graph.nodes[0].findInputSlot(name))
}"""
UNLINK = "name => app.graph.nodes[0].disconnectInput(app.graph.nodes[0].findInputSlot(name))"
WIRES = "['MODEL', 'TEXT_ENCODER', 'CONDITIONING', 'STORYBOARD', 'STATE'].map(type => 'MAGI_' + type)"
SLOT_COLOUR = "getComputedStyle(document.documentElement).getPropertyValue(`--color-datatype-${type}`).trim()"
CHOOSE_PALETTE = """async palette => {
    const shown = () => getComputedStyle(document.body).getPropertyValue('--comfy-menu-bg')
    const before = shown()
    await app.extensionManager.setting.set('Comfy.ColorPalette', palette)
    while (shown() === before) await new Promise(requestAnimationFrame)
}"""
ROWS = """app.graph.nodes.slice(0, 1).flatMap(node => node.widgets.filter(
    widget => node.isWidgetRowVisible?.(widget) ?? node.isWidgetVisible(widget)))"""  # a newer and an older frontend
VISIBLE = f"{ROWS}.map(({{ name }}) => name === 'fixed' ? 'control_after_generate' : name)"  # the same of the name
LINK_ENDS = f"""() => {ROWS}.map(({{ name, y }}) => {{
    const [node] = app.graph.nodes, slot = node.findInputSlot(name)
    return [y, slot < 0 ? y + 10 : node.getInputPos(slot)[1] - node.pos[1]]
}})"""
Box = dict[str, Any]  # title, left, top, right, bottom in pixels of the page
SIDES = (("left", "right"), ("top", "bottom"))
BOXES = """() => {
    const { offset, scale } = app.canvas.ds, origin = app.canvas.canvas.getBoundingClientRect()
    const drawn = ([x, y, width, height]) => {
        const left = (x + offset[0]) * scale + origin.left, top = (y + offset[1]) * scale + origin.top
        return { left, top, right: left + width * scale, bottom: top + height * scale }
    }
    const box = item => {
        const element = document.querySelector(`[data-node-id="${item.id}"]`)
        const { left, top, right, bottom } = element?.getBoundingClientRect() ?? drawn(item.boundingRect)
        return { title: item.title, left, top, right, bottom }
    }
    const groups = app.graph.groups.map(group => ({ title: group.title, ...drawn([...group.pos, ...group.size]) }))
    return [app.graph.nodes.map(box), groups]
}"""

AT_REST = """async source => {
    const measure = eval(source)
    for (let same = 0, before = ''; same < 12; ) {
        app.canvas.setDirty(true, true) // nodes are laid out as they are drawn
        await new Promise(requestAnimationFrame)
        const now = JSON.stringify(measure())
        same = now === before ? same + 1 : 0
        before = now
    }
}"""
BEHIND = """() => {
    const brush = document.createElement('canvas').getContext('2d')
    brush.lineWidth = 4
    const found = []
    const segments = [...app.graph.links.values(), ...app.graph.reroutes.values()]
    for (const { id, title, boundingRect: [x, y, width, height] } of app.graph.nodes) {
        const shown = document.querySelector(`[data-node-id="${id}"]`)?.getBoundingClientRect()
        const high = shown ? shown.height / app.canvas.ds.scale : height
        const left = x + 2, top = y + 2, right = x + width - 2, bottom = y + high - 2
        const edge = []
        for (let at = left + 30; at < right - 30; at += 3) edge.push([at, top], [at, bottom])
        for (const segment of segments) {
            if (!segment.path) throw new Error(`a link of "${title}" is not drawn`)
            if (edge.some(([a, b]) => brush.isPointInStroke(segment.path, a, b))) found.push(title)
        }
    }
    return found
}"""
WHOLE = """() => {
    const boxes = app.graph.nodes.map(node => node.boundingRect)
    const [left, top] = [0, 1].map(side => Math.min(...boxes.map(box => box[side])) - 200)
    const [width, height] = [0, 1].map(side => Math.max(...boxes.map(box => box[side] + box[side + 2])))
    const { clientWidth, clientHeight } = app.canvas.canvas
    app.canvas.ds.scale = Math.min(clientWidth / (width - left), clientHeight / (height - top))
    app.canvas.ds.offset = [-left, -top]
    app.canvas.setDirty(true, true)
}"""


def test_advanced_widgets_are_tucked_away_until_asked_for(frontend) -> None:
    page = frontend.page
    page.evaluate(ADD_SAMPLER)
    assert page.evaluate(VISIBLE) == PLAIN
    page.evaluate("app.graph.nodes[0].toggleAdvanced()")
    assert len(page.evaluate(VISIBLE)) > len(PLAIN)
    assert not frontend.errors


def test_a_new_sampler_shows_its_labels_in_full(frontend) -> None:
    frontend.page.evaluate(ADD_SAMPLER)
    assert frontend.page.evaluate("app.graph.nodes[0].size[0]") >= 300


def test_hiding_advanced_widgets_takes_back_the_room_that_showing_them_took(frontend) -> None:
    page = frontend.page
    page.evaluate(ADD_SAMPLER)
    page.evaluate("app.graph.nodes[0].setSize([400, app.graph.nodes[0].size[1] + 50])")
    before = page.evaluate("[...app.graph.nodes[0].size]")
    page.evaluate("app.graph.nodes[0].toggleAdvanced()")
    assert page.evaluate("app.graph.nodes[0].size[1]") > before[1] + 200
    page.evaluate("app.graph.nodes[0].toggleAdvanced()")
    assert page.evaluate("[...app.graph.nodes[0].size]") == before


@pytest.mark.parametrize("linked", ["window", "width"])
def test_a_linked_input_has_a_row_of_its_own_where_its_link_ends(frontend, linked: str) -> None:
    page = frontend.page
    page.evaluate(ADD_SAMPLER)
    height = page.evaluate("app.graph.nodes[0].size[1]")
    page.evaluate(LINK, linked)
    assert page.evaluate(VISIBLE) == list(dict.fromkeys([*PLAIN, linked]))
    page.evaluate(AT_REST, LINK_ENDS)  # nodes are laid out with the next frames
    rows = page.evaluate(LINK_ENDS)
    assert all(end - top == pytest.approx(10, abs=10) for top, end in rows), f"every link ends at its widget: {rows}"
    assert all(below - top >= 20 for (top, _), (below, _) in pairwise(rows)), "no row lies over another"
    page.evaluate(UNLINK, linked)
    assert page.evaluate(VISIBLE) == PLAIN
    assert page.evaluate("app.graph.nodes[0].size[1]") == height


def test_every_type_of_wire_has_a_colour_of_its_own_in_every_theme(frontend) -> None:
    page = frontend.page
    for palette in ("light", "dark"):
        page.evaluate(CHOOSE_PALETTE, palette)
        tables = ("LGraphCanvas.link_type_colors", "app.canvas.default_connection_color_byType")
        links, slots = (page.evaluate(f"{WIRES}.map(type => {table}[type])") for table in tables)
        assert len(set(links)) == len(links) and all(links), links
        assert links == slots == page.evaluate(f"{WIRES}.map(type => {SLOT_COLOUR})")


def test_no_nodes_overlap() -> None:
    for file in WORKFLOWS:
        boxes = [(*node["pos"], *node["size"]) for node in json.loads(file.read_text())["nodes"]]
        for i, (x, y, width, height) in enumerate(boxes):
            for left, top, wide, high in boxes[:i]:
                apart = x >= left + wide or left >= x + width or y - 30 >= top + high or top - 30 >= y + height
                assert apart, f"{file.stem}: two nodes overlap at {x}, {y}"


@pytest.mark.parametrize("nodes_2", [False, True], ids=["canvas", "nodes 2.0"])
def test_workflows_open_tidily(frontend, nodes_2: bool) -> None:
    """No node lies over another one, across the frame of a group or over a link. In Nodes 2.0 nodes are higher than
    saved."""
    for file in WORKFLOWS:
        frontend.drop(file)
        expected = len(json.loads(file.read_text())["nodes"])
        shown = "n => document.querySelectorAll('[data-node-id]').length === n"
        frontend.page.wait_for_function(shown, arg=expected if nodes_2 else 0, timeout=20_000)
        frontend.page.evaluate(AT_REST, BOXES)  # nodes take their heights with the next frames
        nodes, groups = frontend.page.evaluate(BOXES)
        overlaps = [(a["title"], b["title"]) for a, b in combinations(nodes, 2) if _touch(a, b)]
        across = [(n["title"], g["title"]) for n, g in product(nodes, groups) if _touch(n, g) and not _inside(n, g)]
        assert not overlaps and not across, f"{file.stem}: {overlaps} overlap, {across} stick out"
        frontend.page.evaluate(WHOLE)  # links out of sight are not drawn
        frontend.page.evaluate(AT_REST, BOXES)
        behind = frontend.page.evaluate(BEHIND)
        assert not behind, f"{file.stem}: links run behind {behind}"
        assert not frontend.errors, file.stem


def _touch(a: Box, b: Box) -> bool:
    return all(a[low] < b[high] and b[low] < a[high] for low, high in SIDES)


def _inside(a: Box, b: Box) -> bool:
    return all(b[low] <= a[low] and a[high] <= b[high] for low, high in SIDES)
