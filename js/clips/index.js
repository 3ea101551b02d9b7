// Finished chunks as short clips on the node that makes them, while later ones are still being denoised.
import { app } from "../../../scripts/app.js"
import { onClip, onNodeRun, workflowOf } from "../magi/api.js"
import { findNode, isMagi } from "../magi/graph.js"
import { promptsOfShown } from "../magi/prompts.js"
import { begun, EMPTY, withClip } from "./model.js"
import { hasRow, removeRow, showClips } from "./view.js"

/** @typedef {import("./model.js").Row} Row */

app.registerExtension({ name: "magi.clips", setup })

function setup() {
  /** @type {WeakMap<ComfyUI.Node, Row>} */
  const rows = new WeakMap()
  const isOurs = promptsOfShown(() => app.rootGraph.id, workflowOf)

  /** @param {ComfyUI.Node} node @param {(row: Row) => Row} change */
  const show = (node, change) => {
    const before = rows.get(node) ?? EMPTY
    const row = change(before)
    if (row === before) return // a row that the user has scrolled back stays there
    rows.set(node, row)
    showClips(node, row.clips)
  }

  onClip(async (clip) => {
    if (!(await isOurs(clip.prompt_id))) return
    const node = findNode(app.rootGraph, clip.node_id)
    if (node && isMagi(node)) show(node, (row) => withClip(row, clip))
  })

  // A run that makes no clips, because the engine remembers all of it, leaves no empty row behind.
  onNodeRun(async ({ prompt_id, node_id, running }) => {
    if (!nodeWithRow(node_id) || !(await isOurs(prompt_id))) return
    const node = nodeWithRow(node_id) // another workflow may be shown by now
    if (!node) return
    if (running) show(node, (row) => begun(row, prompt_id))
    else if (!rows.get(node)?.clips.length) removeRow(node)
  })
}

/** @param {string} id */
function nodeWithRow(id) {
  const node = findNode(app.rootGraph, id)
  return node && hasRow(node) ? node : undefined
}
