// ComfyUI's `app`, as far as this pack uses it: a graph whose nodes are boxes on the page.
class Node {
  widgets = []
  size = [640, 200]

  constructor(id, comfyClass, title = comfyClass) {
    Object.assign(this, { id, comfyClass, title })
    this.box = Object.assign(document.createElement("div"), { className: "node" })
    document.body.append(this.box)
  }

  addDOMWidget(name, type, element, options) {
    const widget = { name, type, element, options }
    this.widgets.push(widget)
    this.box.append(element)
    return widget
  }

  /** A widget that has a value and no element; its callback is called like ComfyUI's. */
  addValue(name, value) {
    let now = value
    const widget = {
      name,
      options: {},
      get value() {
        return now
      },
      set value(given) {
        now = given
        widget.callback?.(given)
      },
    }
    this.widgets.push(widget)
    return widget
  }

  isInputConnected(slot) {
    return this.inputs?.[slot]?.link != null
  }

  removeWidget(widget) {
    this.widgets.splice(this.widgets.indexOf(widget), 1)
    widget.element.remove()
  }

  computeSize() {
    return [300, 100 + this.widgets.reduce((sum, { options }) => sum + (options?.getMinHeight?.() ?? 0), 0)]
  }

  setSize(size) {
    this.size = size
  }
}

class Graph {
  constructor(id) {
    this.id = id
    this.nodes = []
  }

  add(id, comfyClass, title) {
    const node = new Node(id, comfyClass, title)
    this.nodes.push(node)
    return node
  }

  getNodeById(id) {
    return this.nodes.find((node) => node.id === id)
  }
}

export const app = {
  rootGraph: new Graph("workflow"),
  /** Steps that ComfyUI's own undo would have heard of. */
  steps: 0,
  canvas: {
    canvas: document.createElement("canvas"),
    setDirty() {},
    emitBeforeChange() {},
    emitAfterChange: () => void app.steps++,
  },
  extensions: [],
  registerExtension(extension) {
    this.extensions.push(extension)
  },
  /** Another workflow is shown, as after a change of tabs. */
  open(id) {
    for (const { box } of this.rootGraph.nodes) box.remove()
    this.rootGraph = new Graph(id)
    return this.rootGraph
  },
  async graphToPrompt() {
    const output = {}
    for (const { id, comfyClass, widgets, links = {} } of this.rootGraph.nodes) {
      const values = widgets.filter((widget) => "value" in widget)
      const inputs = await Promise.all(values.map(async (w) => [w.name, w.serializeValue ? await w.serializeValue() : w.value]))
      output[id] = { class_type: comfyClass, inputs: { ...Object.fromEntries(inputs), ...links } }
    }
    return { output }
  },
  extensionManager: { toast: { add() {} }, setting: { get: () => window.locale ?? "en" } },
}
window.app = app
