"""Cells of chunks on the nodes that make them, in the real frontend and in both of its renderers."""

from __future__ import annotations

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
    const sampler = add('MagiChunkSampler', 1000, small)
    const info = add('MagiStateInfo', 1500)
    link(encoder, board, 'text_encoder')
    link(model, sampler, 'model')
    link(board, sampler, 'conditioning')
    link(vae, sampler, 'vae')
    link(sampler, info, 'state')
    sampler.setSize([620, sampler.size[1]])
    app.canvas.ds.scale = 0.7
    app.canvas.ds.offset = [-700, 30]
}"""
SAMPLER = "app.graph.nodes.find(node => node.comfyClass === 'MagiChunkSampler')"
STRIP = f"{SAMPLER}?.widgets.find(w => w.name === 'magi_cells')?.element"
CELLS = f"[...({STRIP}?.querySelectorAll('.magi-cell') ?? [])]"
STATES = f"{CELLS}.map(cell => cell.dataset.state).join(' ')"
STALE = f"{CELLS}.filter(cell => cell.hasAttribute('data-stale')).map(cell => cell.dataset.index).join()"
PLAYING = f"{CELLS}.map(cell => cell.querySelector('video[data-ready]')?.dataset.filename ?? '')"
SAY = """text => {
    const board = app.graph.nodes.find(node => node.comfyClass === 'MagiStoryboard')
    const widget = board.widgets.find(w => w.name === 'text')
    widget.value = text
    widget.callback?.(text)
    app.canvas.emitBeforeChange()
    app.canvas.emitAfterChange()
}"""
BEFORE = "0: a big red circle moves right\n1-3: it turns blue"
AFTER = "0: a big red circle moves right\n1: it turns blue\n2-3: it turns green"
BACK = "app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')"


def test_an_edit_makes_stale_what_it_changes_and_taking_it_back_shows_the_old_clips(server, frontend, page) -> None:
    page.evaluate(BUILD, [_seed(page, 40), 3])
    _run(server, frontend)
    _wait(page, STATES, "done done done done")
    page.wait_for_function(f"{PLAYING}.every(name => name)", timeout=30_000)
    first = page.evaluate(PLAYING)
    assert page.evaluate(f"{SAMPLER}.size[1] - {SAMPLER}.serialize().size[1]") > 100, "saved without the strip"

    page.evaluate(SAY, AFTER)
    _wait(page, STALE, "2,3")
    _run(server, frontend)
    _wait(page, STALE, "")
    made = [chunk["kind"] for chunk in frontend.received("magi.plan")[-1]["chunks"]]
    assert made == ["remembered", "remembered", "computed", "computed"]
    page.wait_for_function(f"first => {PLAYING}.every((name, i) => name && (name === first[i]) === (i < 2))", arg=first)

    page.evaluate(SAY, BEFORE)
    page.wait_for_function(f"first => String({PLAYING}) === String(first)", arg=first, timeout=10_000)
    _wait(page, STALE, "")


@pytest.mark.parametrize("page", [True], indirect=True, ids=["nodes 2.0"])
def test_a_page_that_is_loaded_anew_during_a_run_shows_it(server, frontend, page) -> None:
    page.evaluate(BUILD, [_seed(page, 50), 60])
    prompt = frontend.queue()
    page.wait_for_function(f"{CELLS}.some(cell => cell.dataset.state === 'done')", timeout=LIMIT * 1000)
    page.reload()
    frontend.wait_until_ready()
    page.wait_for_function(f"{STATES}.startsWith('done') && {STATES}.includes('denoising')", timeout=LIMIT * 1000)
    page.wait_for_function(f"{PLAYING}[0]", timeout=30_000)
    server.post("/interrupt", {})
    server.wait_for(prompt, 30)
    page.wait_for_function(f"!{STATES}.includes('denoising') && {STATES}.includes('planned')", timeout=30_000)


@pytest.mark.parametrize("page", [True], indirect=True, ids=["nodes 2.0"])
def test_cells_stay_in_the_workflow_that_made_them_and_are_there_when_it_is_shown_again(server, frontend, page) -> None:
    page.evaluate(BUILD, [_seed(page, 60), 2])
    _run(server, frontend)
    _wait(page, STATES, "done done done")
    page.evaluate(BUILD, [_seed(page, 61), 2])
    planned = "planned planned planned"
    page.wait_for_function(f"['', '{planned}'].includes({STATES}) && {PLAYING}.every(name => !name)")
    page.evaluate(BACK)
    _wait(page, STATES, "done done done")
    page.wait_for_function(f"{PLAYING}.every(name => name)", timeout=30_000)


@pytest.mark.parametrize("page", [False], indirect=True, ids=["canvas"])
def test_a_sampler_inside_a_subgraph_shows_its_cells_outside(server, frontend, page) -> None:
    page.evaluate(BUILD, [_seed(page, 70), 1])
    path = page.evaluate(f"""() => {{
        window.outer = app.graph.convertToSubgraph(new Set([{SAMPLER}])).node
        return [outer.id, outer.subgraph.nodes[0].id].join(':')
    }}""")
    _run(server, frontend)
    assert frontend.received("magi.plan")[-1]["node_id"] == path
    outside = "[...outer.widgets.find(w => w.name === 'magi_cells').element.querySelectorAll('.magi-cell')]"
    _wait(page, f"{outside}.map(cell => cell.dataset.state).join(' ')", "done done")


def _seed(page: Any, number: int) -> int:
    """One that no other test has made chunks with."""
    return 10 * number + page.evaluate("Number(LiteGraph.vueNodesMode)")


def _wait(page: Any, what: str, expected: str) -> None:
    page.wait_for_function(f"expected => ({what}) === expected", arg=expected, timeout=30_000)


def _run(server: Server, frontend) -> None:
    entry = server.wait_for(frontend.queue(), LIMIT)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
