// A node of this pack that fails says its sentence in a toast: ComfyUI's own message has it two clicks away.
import { app } from "../../../scripts/app.js"
import { onFailure, workflowOf } from "../magi/api.js"
import { findNode } from "../magi/graph.js"
import { promptsOfShown } from "../magi/prompts.js"
import { sentenceOf } from "./model.js"

const LIFE = 30_000 // milliseconds: long enough to read what to do

app.registerExtension({ name: "magi.errors", setup })

function setup() {
  const isOurs = promptsOfShown(() => app.rootGraph.id, workflowOf)
  onFailure(async (failure) => {
    if (!(await isOurs(failure.prompt_id))) return
    const node = findNode(app.rootGraph, failure.node_id)
    const sentence = sentenceOf(failure, node?.title ?? failure.node_type)
    if (sentence) app.extensionManager?.toast.add({ severity: "error", life: LIFE, ...sentence })
  })
}
