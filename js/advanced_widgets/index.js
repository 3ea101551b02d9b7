// The classic canvas can tuck advanced widgets away (node menu: Show Advanced), but looks for the mark in a place that
// V3 nodes do not fill, and leaves their space empty. Nodes 2.0 reads the node's definition and needs none of this.
import { app } from "../../../scripts/app.js"
import { isMagi } from "../magi/graph.js"

app.registerExtension({ name: "magi.advancedWidgets", nodeCreated })

/** @param {ComfyUI.Node} node */
function nodeCreated(node) {
  if (!isMagi(node)) return
  const widgets = () => node.widgets ?? []
  const advanced = widgets().filter((widget) => widget.options?.advanced)
  if (!advanced.length) return
  for (const widget of advanced) widget.advanced = true
  node.getLayoutWidgets = () => widgets().filter((widget) => !widget.hidden && (!widget.advanced || node.showAdvanced))
  node.setSize(node.computeSize())
}
