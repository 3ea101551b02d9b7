// Finished chunks as short clips on the node that makes them, while later ones are still being denoised.
import { app } from "../../scripts/app.js"
import { api } from "../../scripts/api.js"

const EVENT = "magi.clip" // sent by nodes/ui/preview.py: { node, run, chunk, filename, type }
const NAME = "magi_clips"
const HEIGHT = 120
const MARGIN = 10 // that the classic canvas leaves around a DOM widget: it is part of the widget's height
const MOST = 12 // clips on a node; older ones make room

api.addEventListener(EVENT, ({ detail }) => {
  const node = findNode(detail.node)
  if (node?.comfyClass?.startsWith("Magi")) show(node, detail)
})

// What a node showed stays, also after an interrupt, until the node begins anew. A run that makes no clips, because the
// engine remembers all of it, leaves no empty row behind: the row goes when the node has ended.
let running = null
api.addEventListener("executing", ({ detail: id }) => {
  const strip = widgetOf(running)?.element
  if (strip && !strip.childElementCount) removeStrip(running)
  running = id === null ? null : findNode(id)
  widgetOf(running)?.element.replaceChildren()
})

// An extension makes ComfyUI load this file; the listeners above are all it does.
app.registerExtension({ name: "magi.clips" })

/** Inside subgraphs an id is a path: "1:2:3". */
function findNode(id) {
  let node = null
  let graph = app.rootGraph ?? app.graph
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById(part) ?? graph?.getNodeById(Number(part))
    graph = node?.subgraph
  }
  return node
}

function show(node, { run, chunk, filename, type }) {
  const strip = stripOf(node)
  if (strip.dataset.run !== run) strip.replaceChildren()
  strip.dataset.run = run
  const query = new URLSearchParams({ filename, type, subfolder: "" })
  const clip = Object.assign(document.createElement("video"), {
    src: api.apiURL(`/view?${query}`),
    title: `chunk ${chunk}`,
    muted: true,
    loop: true,
    autoplay: true,
    playsInline: true,
  })
  clip.style.height = "100%"
  strip.append(clip)
  while (strip.childElementCount > MOST) strip.firstElementChild.remove()
  strip.scrollLeft = strip.scrollWidth
}

function widgetOf(node) {
  return node?.widgets?.find((widget) => widget.name === NAME)
}

/** The row of clips on a node. It is part of neither the workflow nor what is sent to the server. */
function stripOf(node) {
  const there = widgetOf(node)
  if (there) return there.element
  const strip = document.createElement("div")
  // Nodes 2.0 stretches DOM widgets to their content, here to the size of the videos, unless `flex` forbids it.
  Object.assign(strip.style, { display: "flex", flex: "none", gap: "4px", height: `${HEIGHT}px`, overflowX: "auto" })
  const height = () => HEIGHT + 2 * MARGIN
  const options = { serialize: false, hideOnZoom: false, margin: MARGIN, getMinHeight: height, getMaxHeight: height }
  const widget = node.addDOMWidget(NAME, "clips", strip, options)
  widget.serialize = false
  const before = node.size[1]
  const least = node.computeSize()
  node.setSize([Math.max(least[0], node.size[0]), Math.max(least[1], before)])
  strip.dataset.grown = node.size[1] - before
  return strip
}

/** Takes the row away, and from the node what it had grown by. */
function removeStrip(node) {
  const widget = widgetOf(node)
  node.removeWidget(widget)
  const least = node.computeSize()
  node.setSize([node.size[0], Math.max(least[1], node.size[1] - widget.element.dataset.grown)])
}
