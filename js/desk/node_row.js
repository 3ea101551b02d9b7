// A row for an element on a node, that is neither saved nor queued.
import { app } from "../../../scripts/app.js"
import { leaveToCanvas } from "../magi/canvas.js"
import { findWidget } from "../magi/graph.js"

const MARGIN = 10 // that the classic canvas leaves around a DOM widget: it is part of the widget's height

/** Pixels that nodes have grown by for their row. @type {WeakMap<ComfyUI.Node, number>} */
const grown = new WeakMap()
/** Nodes that are saved without them. @type {WeakSet<ComfyUI.Node>} */
const saved = new WeakSet()

/**
 * Give a node a row. It is part of neither the workflow nor what is sent to the server: a node is saved
 * without the room that it took, so that one that is opened where nothing is known of it has no empty place.
 * @param {ComfyUI.Node} node
 * @param {string} name of the row
 * @param {HTMLElement} element
 * @param {number} pixels its height
 */
export function addRow(node, name, element, pixels) {
  const height = () => pixels + 2 * MARGIN
  const options = { serialize: false, hideOnZoom: false, margin: MARGIN, getMinHeight: height, getMaxHeight: height }
  const row = node.addDOMWidget(name, name, element, options)
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

/** @param {ComfyUI.Node} node @param {string} name of the row */
export function removeRow(node, name) {
  const row = findWidget(node, name)
  if (!row) return
  node.removeWidget(row)
  const least = node.computeSize()
  node.setSize([node.size[0], Math.max(least[1], node.size[1] - (grown.get(node) ?? 0))])
  grown.delete(node)
}
