// The strip on nodes that sample: their own chunks. On a subgraph, that of the node inside which was heard last.
import { app } from "../../../scripts/app.js"
import { leaveToCanvas } from "../magi/canvas.js"
import { findNode, findWidget } from "../magi/graph.js"
import { useStyles } from "../magi/style.js"
import { CellView } from "./cell.js"
import { cells, shownWorkflow } from "./live.js"
import { play, refreshPlayer } from "./player.js"
import { Strip } from "./strip.js"
import { duration, say } from "./words.js"

/** @typedef {import("./cells.js").Cell} Cell */
/** @typedef {import("./cells.js").Summary} Summary */

const NAME = "magi_cells"
const SAMPLING = new Set(["MagiChunkSampler", "MagiExtend", "MagiSecondPass", "MagiRetouch"])
const HEIGHT = 148 // pixels
const MARGIN = 10 // that the classic canvas leaves around a DOM widget: it is part of the widget's height

/** @type {WeakMap<ComfyUI.Node, SamplingStrip>} */
const strips = new WeakMap()
/** Pixels that nodes have grown by for their strip. @type {WeakMap<ComfyUI.Node, number>} */
const grown = new WeakMap()
/** Nodes that are saved without them. @type {WeakSet<ComfyUI.Node>} */
const saved = new WeakSet()
/** Nodes to draw with the next frame, by id. @type {Set<string>} */
const waiting = new Set()

/** Show cells on the nodes that sample, from now on. */
export function showOnSamplers() {
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
  const node = findNode(app.rootGraph, id)
  if (!node || !SAMPLING.has(node.comfyClass ?? "")) return
  show(node, id)
  const path = id.split(":")
  for (let depth = 1; depth < path.length; depth++) {
    const outside = findNode(app.rootGraph, path.slice(0, depth).join(":"))
    if (outside) show(outside, id)
  }
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
  if (!list.length || !summary) return strip?.id === id ? removeStrip(node) : undefined
  if (!strip) {
    strip = new SamplingStrip(node)
    strips.set(node, strip)
    addRow(node, strip.element)
  }
  strip.show(id, list, summary)
}

class SamplingStrip {
  id = ""
  /** @type {Cell[]} */
  #cells = []
  /** @type {Map<HTMLElement, CellView>} */
  #views = new Map()

  /** @param {ComfyUI.Node} node */
  constructor(node) {
    useStyles(new URL("./sampling.css", import.meta.url).href)
    this.node = node
    this.strip = new Strip({
      label: say("strip", { node: node.title ?? "" }),
      lanes: [{ name: "chunks", items: () => this.#items, draw: this.#draw, leave: this.#leave }],
      hands: { open: ({ first }) => this.#play(first), play: () => this.#play(this.strip.first, true) },
      several: false,
    })
    this.line = Object.assign(document.createElement("div"), { className: "magi-line" })
    this.element = Object.assign(document.createElement("div"), { className: "magi-desk magi-sampling" })
    this.element.append(this.line, this.strip.element)
    Object.assign(this.element.style, { height: `${HEIGHT}px`, flex: "none" }) // Nodes 2.0 would shrink it
  }

  /** @type {{ id: number, first: number, last: number }[]} */
  #items = []

  /**
   * @param {string} id
   * @param {Cell[]} list
   * @param {Summary} summary
   */
  show(id, list, summary) {
    const other = id !== this.id
    this.id = id
    this.#cells = list
    this.#items = list.map(({ index }) => ({ id: index, first: index, last: index }))
    this.strip.first = summary.first
    this.strip.fps = summary.fps
    this.line.textContent = lineOf(summary)
    this.line.title = summary.sentence
    this.element.dataset.status = summary.status
    this.strip.draw()
    if (!other && summary.status === "running") this.#follow()
  }

  remove() {
    this.strip.remove()
    this.element.remove()
  }

  /** @param {number} index */
  #cell(index) {
    return this.#cells[index - (this.#cells[0]?.index ?? 0)]
  }

  /** @param {HTMLElement} slot @param {{ first: number }} item */
  #draw = (slot, { first }) => {
    const cell = this.#cell(first)
    if (!cell) return
    let view = this.#views.get(slot)
    if (!view) {
      view = new CellView({ onGone: (key) => cells.gone(key) })
      view.element.addEventListener("click", () => this.#play(Number(view?.element.dataset.index)))
      this.#views.set(slot, view)
      slot.append(view.element)
    }
    view.show(cell)
    slot.ariaLabel = view.element.ariaLabel
  }

  /** @param {HTMLElement} slot */
  #leave = (slot) => {
    this.#views.get(slot)?.release()
    this.#views.delete(slot)
  }

  /** @param {number} index @param {boolean} [all] */
  #play(index, all = false) {
    const { id } = this
    const workflow = shownWorkflow()
    const fps = cells.summaryOf(workflow, id)?.fps ?? 24
    play({ title: this.node.title ?? "", cells: () => cells.cellsOf(workflow, id), fps }, index, { all })
  }

  /** Keep what is in the works in sight, unless somebody is at the strip. */
  #follow() {
    const flying = this.#cells.filter(({ state }) => state === "denoising").at(-1)
    if (flying && !this.element.matches(":hover, :focus-within")) this.strip.reveal(flying.index)
  }
}

/**
 * What is said above the cells.
 * @param {Summary} summary
 */
export function lineOf({ status, sentence, secondsLeft, toMake, cost, seconds, exact }) {
  if (status === "running") {
    if (secondsLeft !== null) return say("time left", { time: duration(secondsLeft) })
    return seconds === null ? say("estimating") : [say("estimating"), say("about", { time: duration(seconds) })].join(", ")
  }
  if (status === "failed") return sentence || say("failed")
  if (!toMake) return say("all there")
  const price = say(exact ? "cost" : "cost at most", { count: toMake, cost })
  const words = seconds === null ? [price] : [price, say("about", { time: duration(seconds) })]
  return [...(status === "interrupted" ? [say("interrupted")] : []), words.join(", ")].join(" · ")
}

/**
 * Give a node a row for its strip. It is part of neither the workflow nor what is sent to the server: a node is saved
 * without the room that it took, so that one that is opened where nothing is known of it has no empty place.
 * @param {ComfyUI.Node} node
 * @param {HTMLElement} element
 */
function addRow(node, element) {
  const height = () => HEIGHT + 2 * MARGIN
  const options = { serialize: false, hideOnZoom: false, margin: MARGIN, getMinHeight: height, getMaxHeight: height }
  const row = node.addDOMWidget(NAME, NAME, element, options)
  row.serialize = false
  leaveToCanvas(element, () => app.canvas.canvas)
  const before = node.size[1]
  const least = node.computeSize()
  node.setSize([Math.max(least[0], node.size[0]), Math.max(least[1], before)])
  grown.set(node, node.size[1] - before)
  app.canvas.setDirty(true, true) // the classic canvas places elements when it draws
  if (saved.has(node)) return
  saved.add(node)
  const { onSerialize } = node
  node.onSerialize = (data) => {
    onSerialize?.call(node, data)
    data.size = [data.size[0], data.size[1] - (grown.get(node) ?? 0)]
  }
}

/** @param {ComfyUI.Node} node */
function removeStrip(node) {
  const row = findWidget(node, NAME)
  strips.get(node)?.remove()
  strips.delete(node)
  if (!row) return
  node.removeWidget(row)
  const least = node.computeSize()
  node.setSize([node.size[0], Math.max(least[1], node.size[1] - (grown.get(node) ?? 0))])
  grown.delete(node)
}
