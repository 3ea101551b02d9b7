"""Clips of finished chunks on the node that makes them, in the real frontend and in both of its renderers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tools.comfyui.server import Server

LIMIT = 300.0
BUILD = """async ([seed, last]) => {
    await app.extensionManager.command.execute('Comfy.NewBlankWorkflow')
    const add = (type, x, values = {}) => {
        const node = LiteGraph.createNode(type)
        node.pos = [x, 40]
        app.graph.add(node)
        for (const [name, value] of Object.entries(values)) node.widgets.find(w => w.name === name).value = value
        return node
    }
    const link = (from, to, name) => from.connect(0, to, to.findInputSlot(name))
    const nano = { model: 'nano' }
    const model = add('MagiLoadModel', 0, nano), vae = add('MagiLoadVAE', 0, nano)
    const encoder = add('MagiLoadTextEncoder', 0, nano)
    const board = add('MagiStoryboard', 300, { text: `0: a big red circle moves right\\n1-${last}: it turns blue` })
    const small = { width: 128, height: 128, steps: 4, seed }
    const sampler = add('MagiChunkSampler', 700, small)
    const info = add('MagiStateInfo', 1100)
    link(encoder, board, 'text_encoder')
    link(model, sampler, 'model')
    link(board, sampler, 'conditioning')
    link(vae, sampler, 'vae')
    link(sampler, info, 'state')
    app.canvas.ds.scale = 0.7
    app.canvas.ds.offset = [-400, 30]
    window.sampler = sampler
    window.board = board
    return sampler.serialize().widgets_values
}"""
CLIPS = "[...(window.sampler.widgets.find(w => w.name === 'magi_clips')?.element.children ?? [])]"
PLAYABLE = f"{CLIPS}.every(clip => clip.readyState >= 2 && clip.videoWidth === 128)"
FILES = f"{CLIPS}.map(clip => new URL(clip.src).searchParams.get('filename'))"
CLEARED = f"files => {FILES}.every(file => !files.includes(file))"
LATER = "board.widgets.find(w => w.name === 'text').value = '0: a big red circle moves right'"
SHRINK = """() => {
    sampler.setSize(sampler.computeSize())
    app.canvas.setDirty(true, true)
}"""
RECTANGLES = """() => {
    const { offset, scale } = app.canvas.ds, origin = app.canvas.canvas.getBoundingClientRect()
    const [x, y, width, height] = sampler.boundingRect.map(length => length * scale)
    const left = x + offset[0] * scale + origin.left, top = y + offset[1] * scale + origin.top
    const drawn = { left, top, right: left + width, bottom: top + height }
    const node = document.querySelector(`[data-node-id="${sampler.id}"]`)?.getBoundingClientRect().toJSON() ?? drawn
    const strip = sampler.widgets.find(w => w.name === 'magi_clips').element.getBoundingClientRect().toJSON()
    return [strip, node, scale]
}"""
STRIP = "!!sampler.widgets.find(w => w.name === 'magi_clips')"
HEIGHT_OF_NODE = """() => {
    app.canvas.draw(true, true)
    const element = document.querySelector(`[data-node-id="${sampler.id}"]`)
    return element ? element.getBoundingClientRect().height / app.canvas.ds.scale : sampler.boundingRect[3]
}"""
INTO_A_SUBGRAPH = """() => {
    const outer = app.graph.convertToSubgraph(new Set([sampler])).node
    window.sampler = outer.subgraph.nodes[0]
    return [outer.id, sampler.id].join(':')
}"""
BACK_TO_THE_WORKFLOW_BEFORE = """async () => {
    await app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')
    window.sampler = app.graph.nodes.find(node => node.comfyClass === 'MagiChunkSampler')
}"""
HEIGHT = 120  # pixels; of the strip, at a zoom of 1


@pytest.fixture(params=[False, True], ids=["canvas", "nodes 2.0"])
def page(request: pytest.FixtureRequest, server: Server, frontend) -> Iterator[Any]:
    """The open page, in one of the two renderers."""
    server.post("/settings", {"Comfy.VueNodes.Enabled": request.param})
    try:
        frontend.page.reload()
        frontend.wait_until_ready()
        yield frontend.page
        assert not frontend.errors
    finally:
        server.post("/settings", {"Comfy.VueNodes.Enabled": False})


def test_finished_chunks_play_on_the_node(server: Server, frontend, page) -> None:
    seed = 40 + page.evaluate("LiteGraph.vueNodesMode")
    widgets = page.evaluate(BUILD, [seed, 1])
    entry = server.wait_for(frontend.queue(), LIMIT)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    page.wait_for_function(f"{CLIPS}.length === 2 && {PLAYABLE}", timeout=20_000)

    _check_strip_is_inside(page)
    kept = page.evaluate("window.sampler.serialize().widgets_values")
    assert kept[: len(widgets)] == widgets and not any(kept[len(widgets) :])


def test_clips_stay_after_an_interrupt_until_the_node_begins_anew(server: Server, frontend, page) -> None:
    seed = 50 + page.evaluate("LiteGraph.vueNodesMode")
    page.evaluate(BUILD, [seed, 60])
    prompt = frontend.queue()
    page.wait_for_function(f"{CLIPS}.length >= 2", timeout=LIMIT * 1000)
    server.post("/interrupt", {})
    entry = server.wait_for(prompt, 20)
    assert any(kind == "execution_interrupted" for kind, _ in entry["status"]["messages"])
    page.wait_for_function(PLAYABLE, timeout=20_000)
    made = page.evaluate(FILES)
    assert len(made) >= 2
    _check_strip_is_inside(page)

    page.evaluate(LATER)
    page.evaluate("sampler.widgets.find(w => w.name === 'seed').value += 100")
    again = frontend.queue()
    page.wait_for_function(CLEARED, arg=made, timeout=20_000)
    assert page.evaluate(CLIPS) == [], "the strip is cleared when the node begins, not with its first clip"
    entry = server.wait_for(again, LIMIT)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    page.wait_for_function(f"{CLIPS}.length === 1 && {PLAYABLE}", timeout=20_000)


def test_a_run_that_is_remembered_leaves_no_empty_strip(server: Server, frontend, page) -> None:
    seed = 60 + page.evaluate("LiteGraph.vueNodesMode")
    page.evaluate(BUILD, [seed, 1])
    page.evaluate(LATER)
    before = _height(page)
    _run(server, frontend)
    page.wait_for_function(f"{CLIPS}.length === 1 && {PLAYABLE}", timeout=20_000)
    with_clip = _height(page)
    assert with_clip > before + HEIGHT / 2

    page.evaluate("sampler.widgets.find(w => w.name === 'autosave').value = 'remembered'")  # runs, and computes nothing
    _run(server, frontend)
    page.wait_for_function(f"!({STRIP})", timeout=20_000)
    assert before - 10 <= _height(page) <= with_clip - HEIGHT

    page.evaluate("sampler.widgets.find(w => w.name === 'seed').value += 100")
    _run(server, frontend)
    page.wait_for_function(f"{CLIPS}.length === 1 && {PLAYABLE}", timeout=20_000)


def test_clips_find_their_node_inside_a_subgraph(server: Server, frontend, page) -> None:
    seed = 70 + page.evaluate("LiteGraph.vueNodesMode")
    page.evaluate(BUILD, [seed, 1])
    path = page.evaluate(INTO_A_SUBGRAPH)
    _run(server, frontend)
    page.wait_for_function(f"{CLIPS}.length === 2", timeout=20_000)
    assert [clip["node_id"] for clip in frontend.received("magi.clip")] == [path, path]


def test_clips_stay_in_the_workflow_that_made_them(server: Server, frontend, page) -> None:
    """Another open workflow, whose nodes have the same numbers, shows none of them."""
    seed = 80 + page.evaluate("LiteGraph.vueNodesMode")
    page.evaluate(BUILD, [seed, 60])
    number = page.evaluate("sampler.id")
    prompt = frontend.queue()
    page.wait_for_function(f"{CLIPS}.length >= 1", timeout=LIMIT * 1000)

    page.evaluate(BUILD, [seed, 60])
    assert page.evaluate("sampler.id") == number
    _wait_for_clips(frontend, 2)
    assert page.evaluate(CLIPS) == []

    page.evaluate(BACK_TO_THE_WORKFLOW_BEFORE)
    page.wait_for_function(f"{CLIPS}.length >= 1", timeout=LIMIT * 1000)
    server.post("/interrupt", {})
    server.wait_for(prompt, 20)


def _run(server: Server, frontend) -> None:
    entry = server.wait_for(frontend.queue(), LIMIT)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]


def _height(page) -> float:
    """Height of the node, at a zoom of 1."""
    page.wait_for_timeout(500)  # the frontend lays nodes and DOM widgets out with the next frames
    return page.evaluate(HEIGHT_OF_NODE)


def _wait_for_clips(frontend, more: int) -> None:
    """Until the page has heard of so many more clips, and had time to show them."""
    before, deadline = len(frontend.received("magi.clip")), time.monotonic() + LIMIT
    while len(frontend.received("magi.clip")) < before + more:
        assert time.monotonic() < deadline, "no more clips"
    frontend.page.wait_for_timeout(1000)


def _check_strip_is_inside(page) -> None:
    """The strip has its own height, whatever the size of the videos, and stays within the node at its smallest."""
    page.evaluate(SHRINK)
    page.wait_for_timeout(500)  # the frontend lays DOM widgets out with the next frames
    strip, node, scale = page.evaluate(RECTANGLES)
    assert strip["bottom"] - strip["top"] == pytest.approx(HEIGHT * scale, abs=1)
    assert strip["left"] >= node["left"] and strip["right"] <= node["right"]
    assert strip["top"] >= node["top"] and strip["bottom"] <= node["bottom"]
