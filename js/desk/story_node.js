// The desk in ComfyUI: on every Magi Storyboard, in place of its text widget, which stays what is queued and saved.
import { app } from "../../../scripts/app.js"
import { readStoryboard, writeStoryboard } from "../magi/api.js"
import { leaveToCanvas } from "../magi/canvas.js"
import { findWidget, pathOf } from "../magi/graph.js"
import { askedOf, onAnswered, samplerOf, whyNot } from "./asked.js"
import { keep, store, takeKept } from "./keepsakes.js"
import { cells, graphChanged, heardOf, onSecond, shownWorkflow } from "./live.js"
import { play } from "./player.js"
import { lineOf } from "./run_line.js"
import { StoryboardDesk } from "./storyboard.js"
import { words } from "./story_words.js"

const NAME = "magi_desk"
const NOTES = "$$node-text-preview" // ComfyUI's name for the text under a node
const LEAST = 220 // pixels in height
const SIZE = /** @type {const} */ ([620, 420]) // of a new node
const MARGIN = 10 // that the classic canvas leaves around a DOM widget: it is part of the widget's height

let made = 0 // Nodes 2.0 shows the old widget of a node that comes back, after undo, unless the new one has another name
/**
 * Where a desk is, or was last: "" as long as nobody knows.
 * @typedef {{ workflow: string, path: string }} Place
 */
/**
 * A desk. settled: it has taken the place of the one before, if there was one.
 * @typedef {{ node: ComfyUI.Node, desk: StoryboardDesk, place: Place, settled: boolean }} Shown
 */
/** @type {Set<Shown>} */
const desks = new Set()

/** Keep the desks up to date, from now on. */
export function showOnStoryboards() {
  onAnswered(() => {
    for (const { desk } of desks) desk.refreshCells()
  })
  onSecond(() => {
    for (const { desk } of desks) desk.foot.drawPrice()
  })
  cells.subscribe((workflow) => {
    if (workflow !== shownWorkflow()) return
    for (const { desk } of desks) desk.refreshCells()
  })
  addEventListener("pagehide", () => {
    for (const { desk, place } of desks) if (place.path) keep(place.workflow, place.path, desk.keepsake())
    store()
  })
}

/** The nodes of a workflow are there, perhaps anew: each desk takes the place of the one before. */
export function settleDesks() {
  for (const each of desks) {
    if (each.settled) continue
    each.settled = true
    const kept = takeKept(shownWorkflow(), pathOf(app.rootGraph, each.node) ?? "")
    if (kept) each.desk.adopt(kept)
  }
}

/** @param {ComfyUI.Node} node a new one */
export function addDesk(node) {
  const text = findWidget(node, "text")
  if (node.comfyClass !== "MagiStoryboard" || !text) return
  const place = { workflow: "", path: "" }
  const desk = new StoryboardDesk(hostOf(node, text, place))
  const each = { node, desk, place, settled: false }
  desks.add(each)
  const row = node.addDOMWidget(`${NAME}_${++made}`, NAME, desk.element, {
    serialize: false,
    hideOnZoom: false,
    margin: MARGIN,
    getMinHeight: () => LEAST + 2 * MARGIN,
  })
  row.serialize = false
  leaveToCanvas(desk.element, () => app.canvas.canvas)
  hide(text, node)
  text.serializeValue = async () => {
    await desk.settled() // what was edited a moment ago is queued too
    return text.value
  }
  after(text, "callback", () => desk.refresh())
  const fps = findWidget(node, "fps")
  if (fps) after(fps, "callback", () => desk.refresh())
  after(node, "onConfigure", () => {
    hide(text, node)
    desk.refresh()
  })
  after(node, "onConnectionsChange", () => {
    hide(text, node)
    desk.refresh()
  })
  after(node, "onRemoved", () => {
    desks.delete(each)
    if (place.path) keep(place.workflow, place.path, desk.keepsake())
    desk.strip.remove()
  })
  const least = node.computeSize()
  node.setSize([Math.max(least[0], SIZE[0]), Math.max(least[1], SIZE[1])])
}

/**
 * @param {ComfyUI.Node} node
 * @param {ComfyUI.Widget} text
 * @param {Place} place
 * @returns {import("./editing.js").Host}
 */
function hostOf(node, text, place) {
  const path = () => {
    const now = pathOf(app.rootGraph, node) ?? ""
    if (now) Object.assign(place, { workflow: shownWorkflow(), path: now }) // gone once the node is
    return now
  }
  /** The node that makes this storyboard, as the server calls it. */
  const sampler = () => samplerOf(path())
  /** @type {readonly import("./cell_state.js").Cell[]} */
  let list = []
  /** @type {unknown} */
  let known
  return {
    read: readStoryboard,
    write: writeStoryboard,
    text: () => String(text.value ?? ""),
    setText: (value) => {
      text.value = value
      dropNotes(node) // they were of what the text said before
      graphChanged()
    },
    changed: () => {
      app.canvas.emitBeforeChange()
      app.canvas.emitAfterChange()
    },
    fps: () => Number(findWidget(node, "fps")?.value) || 24,
    linked: () => isLinked(node),
    isPlanned: () => askedOf(path(), "text") === text.value,
    plan: () => cells.planOf(shownWorkflow(), sampler()),
    cells: () => {
      const version = `${shownWorkflow()} ${sampler()} ${cells.version}`
      if (version !== known) [known, list] = [version, cells.cellsOf(shownWorkflow(), sampler())]
      return list
    },
    going: () => {
      const summary = cells.summaryOf(shownWorkflow(), sampler())
      return summary?.status === "running" ? lineOf(summary) : ""
    },
    note: () => {
      if (askedOf(path(), "text") === undefined) return "" // not asked yet
      if (!sampler()) return words("no_sampler")
      return whyNot(sampler())
    },
    edited: (stale) => {
      const id = sampler()
      const first = cells.planOf(shownWorkflow(), id)?.first ?? 0
      cells.edited(shownWorkflow(), id, stale.map(([from, to]) => [from + first, to + 1 + first]))
    },
    play: (index, all) => {
      const id = sampler()
      const workflow = shownWorkflow()
      const fps = cells.summaryOf(workflow, id)?.fps ?? 24
      const programme = { title: node.title ?? "", cells: () => cells.cellsOf(workflow, id), fps }
      play({ ...programme, sound: () => heardOf(workflow, id) }, index, { all })
    },
    gone: (key) => cells.gone(key),
    heard: () => heardOf(shownWorkflow(), sampler()),
  }
}

/**
 * Take away what the last run said under a node.
 * @param {ComfyUI.Node} node
 */
function dropNotes(node) {
  const notes = findWidget(node, NOTES)
  if (notes) node.removeWidget(notes)
}

/**
 * The text has its place on the desk; where it comes from another node, ComfyUI shows that.
 * @param {ComfyUI.Widget} text
 * @param {ComfyUI.Node} node
 */
function hide(text, node) {
  const linked = isLinked(node)
  text.hidden = !linked
  if (text.options) text.options.hidden = !linked
}

/** @param {ComfyUI.Node} node */
function isLinked(node) {
  const slot = node.inputs?.findIndex(({ widget }) => widget?.name === "text") ?? -1
  return slot >= 0 && node.isInputConnected(slot)
}

/**
 * Have `then` called after a method of ComfyUI's, whether there is one or not.
 * @param {any} object
 * @param {string} method
 * @param {() => void} then
 */
function after(object, method, then) {
  const before = object[method]
  object[method] = function (/** @type {unknown[]} */ ...given) {
    const answer = before?.apply(this, given)
    then()
    return answer
  }
}
