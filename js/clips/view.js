// The row of clips on a node. It is part of neither the workflow nor what is sent to the server.
import { temporaryFile } from "../magi/api.js"
import { findWidget } from "../magi/graph.js"

/** @typedef {import("./model.js").Clip} Clip */

const NAME = "magi_clips"
const HEIGHT = 120
const MARGIN = 10 // that the classic canvas leaves around a DOM widget: it is part of the widget's height

/**
 * Show these clips on `node`, which gets a row for them if it has none.
 * @param {ComfyUI.Node} node
 * @param {readonly Clip[]} clips
 */
export function showClips(node, clips) {
  const strip = (findRow(node) ?? addRow(node)).element
  const files = new Set(clips.map((clip) => clip.filename))
  const shown = new Set()
  for (const video of /** @type {HTMLElement[]} */ ([...strip.children])) {
    if (files.has(video.dataset.filename ?? "")) shown.add(video.dataset.filename)
    else video.remove()
  }
  strip.append(...clips.filter((clip) => !shown.has(clip.filename)).map(video))
  strip.scrollLeft = strip.scrollWidth
}

/** @param {ComfyUI.Node} node */
export function hasRow(node) {
  return findRow(node) !== undefined
}

/**
 * Take the row away, and from the node what it had grown by.
 * @param {ComfyUI.Node} node
 */
export function removeRow(node) {
  const row = findRow(node)
  if (!row) return
  node.removeWidget(row)
  const least = node.computeSize()
  node.setSize([node.size[0], Math.max(least[1], node.size[1] - Number(row.element.dataset.grown))])
}

/**
 * @param {ComfyUI.Node} node
 * @returns {ComfyUI.DOMWidget | undefined}
 */
function findRow(node) {
  return /** @type {ComfyUI.DOMWidget | undefined} */ (findWidget(node, NAME))
}

/** @param {ComfyUI.Node} node */
function addRow(node) {
  const strip = document.createElement("div")
  // Nodes 2.0 stretches DOM widgets to their content, here to the size of the videos, unless `flex` forbids it.
  Object.assign(strip.style, { display: "flex", flex: "none", gap: "4px", height: `${HEIGHT}px`, overflowX: "auto" })
  const height = () => HEIGHT + 2 * MARGIN
  const options = { serialize: false, hideOnZoom: false, margin: MARGIN, getMinHeight: height, getMaxHeight: height }
  const row = node.addDOMWidget(NAME, "clips", strip, options)
  row.serialize = false
  const before = node.size[1]
  const least = node.computeSize()
  node.setSize([Math.max(least[0], node.size[0]), Math.max(least[1], before)])
  strip.dataset.grown = String(node.size[1] - before)
  return row
}

/** @param {Clip} clip */
function video({ filename, index }) {
  const element = Object.assign(document.createElement("video"), {
    src: temporaryFile(filename),
    title: `chunk ${index}`,
    muted: true,
    loop: true,
    autoplay: true,
    playsInline: true,
  })
  element.style.height = "100%"
  element.dataset.filename = filename
  return element
}
