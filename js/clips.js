// Finished chunks as short clips on the node that makes them, while later ones are still being denoised.
import { app } from "../../scripts/app.js"
import { api } from "../../scripts/api.js"

const EVENT = "magi.clip" // sent by nodes/preview.py: { node, run, chunk, filename, type }
const NAME = "magi_clips"
const HEIGHT = 120
const MOST = 12 // clips on a node; older ones make room

api.addEventListener(EVENT, ({ detail }) => {
  const node = findNode(detail.node)
  if (node) show(node, detail)
})

// An extension makes ComfyUI load this file; the listener above is all it does.
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

/** The row of clips on a node. It is part of neither the workflow nor what is sent to the server. */
function stripOf(node) {
  const there = node.widgets?.find((widget) => widget.name === NAME)
  if (there) return there.element
  const strip = document.createElement("div")
  Object.assign(strip.style, { display: "flex", gap: "4px", height: `${HEIGHT}px`, overflowX: "auto" })
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => HEIGHT, getMaxHeight: () => HEIGHT }
  const widget = node.addDOMWidget(NAME, "clips", strip, options)
  widget.serialize = false
  const [width, height] = node.computeSize()
  node.setSize([Math.max(width, node.size[0]), Math.max(height, node.size[1])])
  return strip
}
