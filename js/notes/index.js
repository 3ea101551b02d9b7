// ComfyUI gives a text under a node two lines and cuts off the rest: here it gets as many as it has.
import { app } from "../../../scripts/app.js"
import { onNote } from "../magi/api.js"
import { findNode, findWidget, isMagi } from "../magi/graph.js"
import { heightOf } from "./model.js"

const TEXT = "$$node-text-preview" // ComfyUI's name for the widget

app.registerExtension({ name: "magi.notes", setup })

function setup() {
  onNote(({ nodeId, text }) => {
    setTimeout(() => makeRoom(nodeId, text)) // ComfyUI adds the widget when it hears of the first text
  })
}

/**
 * @param {string} nodeId
 * @param {string} text
 */
function makeRoom(nodeId, text) {
  const node = findNode(app.rootGraph, nodeId)
  const widget = node && isMagi(node) ? findWidget(node, TEXT) : undefined
  if (!node || !widget?.options) return
  widget.options.getMinHeight = () => heightOf(text, node.size[0])
  const least = node.computeSize()
  if (node.size[1] < least[1]) node.setSize([node.size[0], least[1]])
}
