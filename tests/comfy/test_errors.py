"""A node that fails says its sentence where the user looks, in the real frontend."""

from __future__ import annotations

from tests.comfy.graphs import node
from tools.comfyui.server import Server


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
    frontend.page.get_by_text("width must be a multiple of 16: 725 -> use 720 or 736").first.wait_for(timeout=60_000)
    toasts = frontend.page.locator(".p-toast-detail").all_inner_texts()
    assert "width must be a multiple of 16: 725 -> use 720 or 736" in toasts
