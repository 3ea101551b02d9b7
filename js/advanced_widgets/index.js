// The classic canvas can tuck advanced widgets away (node menu: Show Advanced), but looks for the mark in a place that
// V3 nodes do not fill, hides those that a link goes into, and leaves the room of hidden ones empty. (Newer releases draw
// a linked widget as its name alone, in a row of its own.) Nodes 2.0 reads the node's definition and needs none of this.
import { app } from "../../../scripts/app.js"
import { isMagi } from "../magi/graph.js"

const WIDTH = 300 // pixels of a new node: names of widgets and their values are read in full

app.registerExtension({ name: "magi.advancedWidgets", nodeCreated })

/** @param {ComfyUI.Node} node */
function nodeCreated(node) {
  if (!isMagi(node) || !node.widgets?.length) return
  const tuckable = node.widgets.filter((widget) => widget.options?.advanced)
  if (tuckable.length) tuckAway(node, tuckable)
  const [width, height] = node.computeSize()
  node.setSize([Math.max(width, WIDTH), height])
}

/**
 * @param {ComfyUI.Node} node
 * @param {readonly ComfyUI.Widget[]} tuckable
 */
function tuckAway(node, tuckable) {
  const mark = () => {
    for (const widget of tuckable) widget.advanced = !isLinked(node, widget)
    node.updateComputedDisabled() // else a link just taken away counts until the node is drawn again
  }
  node.getLayoutWidgets = () => (node.widgets ?? []).filter(shown)
  /** @param {ComfyUI.Widget} widget */
  const shown = (widget) => isLinked(node, widget) || (!widget.hidden && (!tuckable.includes(widget) || node.showAdvanced))

  const { toggleAdvanced, onConnectionsChange } = node
  node.toggleAdvanced = () => keepingSpace(node, () => toggleAdvanced.call(node))
  node.onConnectionsChange = (...change) => {
    onConnectionsChange?.apply(node, change)
    keepingSpace(node, mark)
  }
  mark()
}

/**
 * Change which widgets are shown; the node grows or shrinks by their height.
 * @param {ComfyUI.Node} node
 * @param {() => void} change
 */
function keepingSpace(node, change) {
  if (LiteGraph.vueNodesMode) return change() // there the page lays nodes out
  const before = node.computeSize()[1]
  const space = Math.max(0, node.size[1] - before)
  change()
  const after = node.computeSize()[1]
  if (after === before) return
  node.setSize([node.size[0], after + space])
  node.arrange() // links are drawn before nodes: they would still go to where the widgets were
}

/**
 * @param {ComfyUI.Node} node
 * @param {ComfyUI.Widget} widget
 */
function isLinked(node, widget) {
  const slot = node.inputs?.findIndex((input) => input.widget?.name === widget.name) ?? -1
  return slot >= 0 && node.isInputConnected(slot)
}
