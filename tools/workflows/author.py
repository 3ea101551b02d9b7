"""Write `workflows/*.json` with the real frontend: `python -m tools.workflows.author`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from scripts.workflow import BYPASSED
from tools.comfyui.find import REPOSITORY, find_chromium, find_comfyui
from tools.comfyui.frontend import BROWSER_FLAGS, FIRST_VISIT_DONE, Frontend
from tools.comfyui.server import Server, base_directory
from tools.workflows.graphs import camera_and_weather, image_to_video, storyboard, text_to_video, video_continuation
from tools.workflows.link_routing import Link, Router
from tools.workflows.second_graphs import change_the_look, draft_choose_finish
from tools.workflows.take_graphs import fork_two_takes, long_stream_to_file, save_and_extend, shot_transitions

# By file name, which is all that ComfyUI's template browser shows of a pack's workflow: title, order and description.
GRAPHS = {
    "01 Text to video": text_to_video,
    "02 Storyboard, a line for every second": storyboard,
    "03 Image to video": image_to_video,
    "04 A video goes on": video_continuation,
    "05 Two takes side by side": fork_two_takes,
    "06 New shots, restyles and cuts": shot_transitions,
    "07 Save today, go on tomorrow": save_and_extend,
    "08 Long video, straight to a file": long_stream_to_file,
    "09 Change the look, keep the motion": change_the_look,
    "10 Draft, choose, finish": draft_choose_finish,
    "11 Ten seconds with a camera and weather": camera_and_weather,
}
MARGIN = 10  # pixels between nodes and the frame of their group
BUILD = """([nodes, groups, bypass, margin]) => {
    app.graph.clear()
    const made = {}
    for (const [name, spec] of Object.entries(nodes)) {
        const node = LiteGraph.createNode(spec.type)
        if (!node) throw new Error(`no node type ${spec.type}`)
        app.graph.add(node)
        node.pos = spec.pos
        if (spec.title) node.title = spec.title
        if (spec.bypassed) node.mode = bypass
        if (spec.colour) node.setColorOption(LGraphCanvas.node_colors[spec.colour])
        for (const [id, value] of Object.entries(spec.widgets)) {
            const widget = id ? node.widgets.find(w => w.name === id) : node.widgets[0]
            if (!widget) throw new Error(`${spec.type} has no widget ${id}`)
            widget.value = value
            widget.callback?.(value)
        }
        made[name] = node
    }
    for (const [name, spec] of Object.entries(nodes)) {
        for (const [input, [from, output]] of Object.entries(spec.inputs)) {
            const slot = made[from].findOutputSlot(output)
            const link = slot < 0 ? null : made[from].connect(slot, made[name], input)
            if (!link) throw new Error(`${spec.type}.${input} cannot be connected to ${from}.${output}`)
        }
        if (spec.size) made[name].setSize(spec.size)
    }
    for (const [title, names] of Object.entries(groups)) {
        const group = new LiteGraph.LGraphGroup(title)
        const members = names.map(name => made[name])
        const left = Math.min(...members.map(node => node.pos[0])), top = Math.min(...members.map(node => node.pos[1]))
        const right = Math.max(...members.map(node => node.pos[0] + node.size[0]))
        const bottom = Math.max(...names.map(name => made[name].pos[1] + made[name].size[1] + nodes[name].grows))
        const above = LiteGraph.NODE_TITLE_HEIGHT + group.titleHeight
        group.pos = [left - margin, top - above - margin]
        group.size = [right - left + 2 * margin, bottom - top + above + 2 * margin]
        app.graph.add(group)
    }
    window.made = made
}"""
PLACES = """grows => {
    const boxes = Object.entries(made).map(([name, { boundingRect: [x, y, width, height] }]) =>
        [x, y, x + width, y + height + grows[name]])
    const links = [...app.graph.links.values()].map(link => {
        const from = app.graph.getNodeById(link.origin_id), to = app.graph.getNodeById(link.target_id)
        const start = from.getOutputPos(link.origin_slot), end = to.getInputPos(link.target_slot)
        return [`${link.origin_id}:${link.origin_slot}`, `${link.id}`, [...start], [...end]]
    })
    const titles = app.graph.groups.map(({ pos: [x, y], size, titleHeight }) => [x, y, x + size[0], y + titleHeight])
    return [boxes, titles, links]
}"""
REROUTE = """ways => {
    const made = {}
    for (const [id, corners] of Object.entries(ways)) {
        const link = app.graph.links.get(Number(id))
        for (const corner of corners) {
            const place = `${link.origin_id}:${link.origin_slot}:${corner}`
            const there = made[place]
            if (there) {
                link.parentId = there.id
                there.linkIds.add(link.id)
            } else {
                made[place] = app.graph.createReroute(corner, link)
            }
        }
    }
}"""


def _at_rest(frontend: Frontend, grows: dict[str, int]) -> list[Any]:
    """What `PLACES` answers once nodes have their sizes: the same for a second."""
    places: list[Any] = []
    same = 0
    while same < 5:
        frontend.page.wait_for_timeout(200)
        now = frontend.page.evaluate(PLACES, grows)
        places, same = now, same + 1 if now == places else 0
    return places


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", nargs="*", help="those whose titles begin so, such as 11; all where none is given")
    asked = tuple(parser.parse_args().numbers)
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        Server(find_comfyui(), base_directory(Path(folder) / "base")) as server,
    ):
        server.post("/settings", FIRST_VISIT_DONE)
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=BROWSER_FLAGS)
        for title, graph in GRAPHS.items():
            if asked and not title.startswith(asked):
                continue
            # A page of its own: the frontend keeps widgets by the number of their node, in cleared graphs too.
            frontend = Frontend(browser.new_page(viewport={"width": 1600, "height": 1000}), server.url)
            made = graph()
            nodes = {name: dataclasses.asdict(node) for name, node in made.nodes.items()}
            frontend.page.evaluate(BUILD, [nodes, made.groups, BYPASSED, MARGIN])
            boxes, titles, links = _at_rest(frontend, {name: node.grows for name, node in made.nodes.items()})
            frontend.page.evaluate(REROUTE, Router(boxes, titles).ways(Link(*link) for link in links))
            workflow = frontend.serialised()
            workflow["extra"].pop("ds", None)  # where the author was looking
            file = REPOSITORY / "workflows" / f"{title}.json"
            file.write_text(json.dumps(workflow, indent=2) + "\n")
            print(f"wrote {file.relative_to(REPOSITORY)}: {len(workflow['nodes'])} nodes")
            frontend.page.close()
        browser.close()


if __name__ == "__main__":
    main()
