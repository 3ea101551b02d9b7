// The strip on nodes that sample: their own chunks. On a subgraph, that of the node inside which was heard last.
import { app } from "../../../scripts/app.js"
import { findNode } from "../magi/graph.js"
import { cells, onSecond, shownWorkflow } from "./live.js"
import { addRow, removeRow } from "./node_row.js"
import { refreshPlayer } from "./player.js"
import { SamplingStrip, STRIP_HEIGHT } from "./sampling_strip.js"

const NAME = "magi_cells"
const SAMPLING = new Set(["MagiChunkSampler", "MagiExtend", "MagiSecondPass", "MagiRetouch"])

/** @type {WeakMap<ComfyUI.Node, SamplingStrip>} */
const strips = new WeakMap()
/** Nodes to draw with the next frame, by id. @type {Set<string>} */
const waiting = new Set()

/** Show cells on the nodes that sample, from now on. */
export function showOnSamplers() {
  onSecond(() => {
    for (const id of cells.nodesOf(shownWorkflow())) {
      for (const node of placesOf(id)) strips.get(node)?.tell()
    }
  })
  cells.subscribe((workflow, id) => {
    if (workflow === shownWorkflow()) drawSoon(id)
  })
}

/** Show what is known of the workflow that is shown: its nodes are new. */
export function showAll() {
  for (const id of cells.nodesOf(shownWorkflow())) drawSoon(id)
}

/** @param {string} id */
function drawSoon(id) {
  if (!waiting.size) requestAnimationFrame(drawWaiting)
  waiting.add(id)
}

function drawWaiting() {
  const ids = [...waiting]
  waiting.clear() // first: a node that cannot be drawn keeps no other from being drawn with the next frame
  refreshPlayer()
  for (const id of ids) draw(id)
}

/** @param {string} id */
function draw(id) {
  for (const node of placesOf(id)) show(node, id)
}

/**
 * Where the cells of a node are shown: on it, and on the subgraphs that it is in.
 * @param {string} id
 * @returns {ComfyUI.Node[]} none where it does not sample
 */
function placesOf(id) {
  const path = id.split(":")
  const nodes = path.map((_, i) => findNode(app.rootGraph, path.slice(0, i + 1).join(":")))
  if (!SAMPLING.has(nodes.at(-1)?.comfyClass ?? "")) return []
  return nodes.filter((node) => node !== undefined)
}

/**
 * @param {ComfyUI.Node} node
 * @param {string} id of the node that samples: this one, or one inside
 */
function show(node, id) {
  const workflow = shownWorkflow()
  const list = cells.cellsOf(workflow, id)
  const summary = cells.summaryOf(workflow, id)
  let strip = strips.get(node)
  if (!list.length || !summary) return strip?.id === id ? removeStrip(node, strip) : undefined
  if (!strip) {
    strip = new SamplingStrip(node)
    strips.set(node, strip)
    addRow(node, NAME, strip.element, STRIP_HEIGHT)
  }
  strip.show(id, list, summary)
}

/** @param {ComfyUI.Node} node @param {SamplingStrip} strip */
function removeStrip(node, strip) {
  strip.remove()
  strips.delete(node)
  removeRow(node, NAME)
}
