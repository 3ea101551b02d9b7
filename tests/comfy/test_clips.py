"""Clips of finished chunks on the node that makes them, in the real frontend and in both of its renderers."""

from __future__ import annotations

import pytest

from tests.comfy.comfyui import Server

LIMIT = 300.0
BUILD = """(seed) => {
    app.graph.clear()
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
    const board = add('MagiStoryboard', 300, { text: '0: a big red circle moves right\\n1: it turns blue' })
    const small = { width: 128, height: 128, steps: 4, seed, control_after_generate: 'fixed' }
    const sampler = add('MagiChunkSampler', 700, small)
    const info = add('MagiStateInfo', 1100)
    link(encoder, board, 'text_encoder')
    link(model, sampler, 'model')
    link(board, sampler, 'conditioning')
    link(vae, sampler, 'vae')
    link(sampler, info, 'state')
    window.sampler = sampler
    return sampler.serialize().widgets_values
}"""
CLIPS = "[...(window.sampler.widgets.find(w => w.name === 'magi_clips')?.element.children ?? [])]"
PLAYABLE = f"{CLIPS}.length === 2 && {CLIPS}.every(clip => clip.readyState >= 2 && clip.videoWidth === 128)"


@pytest.mark.parametrize("nodes_2", [False, True], ids=["canvas", "nodes 2.0"])
def test_finished_chunks_play_on_the_node(server: Server, frontend, nodes_2: bool) -> None:
    server.post("/settings", {"Comfy.VueNodes.Enabled": nodes_2})
    try:
        frontend.page.reload()
        frontend.wait_until_ready()
        widgets = frontend.page.evaluate(BUILD, 40 + nodes_2)
        entry = server.wait_for(frontend.queue(), LIMIT)
        assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
        frontend.page.wait_for_function(PLAYABLE, timeout=20_000)
        kept = frontend.page.evaluate("window.sampler.serialize().widgets_values")
        assert kept[: len(widgets)] == widgets and not any(kept[len(widgets) :])
        assert not frontend.errors
    finally:
        server.post("/settings", {"Comfy.VueNodes.Enabled": False})
