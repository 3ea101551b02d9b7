// The classic canvas can tuck advanced widgets away (node menu: Show Advanced), but looks for the mark in a place that
// V3 nodes do not fill, and leaves their space empty. Nodes 2.0 reads the node's definition and needs none of this.
import { app } from "../../scripts/app.js"

app.registerExtension({
  name: "magi.advancedWidgets",
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("Magi")) return
    const advanced = (node.widgets ?? []).filter((widget) => widget.options?.advanced)
    if (!advanced.length) return
    for (const widget of advanced) widget.advanced = true
    node.getLayoutWidgets = () => node.widgets.filter((widget) => !widget.hidden && (!widget.advanced || node.showAdvanced))
    node.setSize(node.computeSize())
  },
})
