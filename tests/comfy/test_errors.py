"""What a node has to say is read where the user looks, in the real frontend."""

from __future__ import annotations

from tests.comfy.graphs import node
from tools.comfyui.server import Server

WRONG_STORYBOARD = r"""() => {
    app.graph.clear()
    const [encoder, board, shown] = ['MagiLoadTextEncoder', 'MagiStoryboard', 'PreviewAny'].map(type => {
        const node = LiteGraph.createNode(type)
        app.graph.add(node)
        return node
    })
    board.widgets.find(widget => widget.name === 'text').value = '0: a red circle\n1 [new_shot: b'
    encoder.connect(0, board, 'text_encoder')
    board.connect('chunks', shown, 0)
}"""
TOAST = ".p-toast-message, [data-testid=toast]"  # in an older and a newer frontend
NOTE = """text => {
    app.graph.clear()
    const node = LiteGraph.createNode('MagiTextEncode')
    app.graph.add(node)
    window.before = node.size[1]
    app.api.dispatchCustomEvent('progress_text', { nodeId: `${node.id}`, text })
}"""


def test_a_failure_shows_its_sentence_in_a_toast(server: Server, frontend) -> None:
    graph = {
        "width": node("PrimitiveInt", value=725),
        "image": node("EmptyImage", width=64, height=64, batch_size=1, color=0),
        "vae": node("MagiLoadVAE", model="nano", dtype="auto"),
        "encode": node(
            "MagiVAEEncode",
            vae=["vae", 0],
            image=["image", 0],
            width=["width", 0],
            height=64,
            fit="crop",
            fps=24.0,
        ),
        "decode": node("VAEDecode", vae=["vae", 0], samples=["encode", 0]),
        "shown": node("PreviewImage", images=["decode", 0]),
    }
    server.submit(graph, frontend.client)
    said = frontend.page.locator(TOAST).get_by_text("width must be a multiple of 16: 725 -> use 720 or 736", exact=True)
    said.wait_for(timeout=60_000)


def test_what_is_refused_before_the_run_shows_its_sentence_in_a_toast(frontend) -> None:
    frontend.page.evaluate(WRONG_STORYBOARD)
    frontend.page.evaluate("app.queuePrompt(0, 1)")
    frontend.page.locator(TOAST, has_text="line 2: a bracket is not closed").wait_for(timeout=60_000)


def test_a_text_under_a_node_has_room_for_all_its_lines(frontend) -> None:
    frontend.page.evaluate(NOTE, "a line that is told of a prompt, and said in full\n" * 4)
    frontend.page.wait_for_function("app.graph.nodes[0].size[1] > before + 120", timeout=20_000)
