// A node of this pack that fails, or is not run, says its sentence in a toast: in ComfyUI's it is clicks away.
import { app } from "../../../scripts/app.js"
import { onFailure, onRefused, workflowOf } from "../magi/api.js"
import { findNode } from "../magi/graph.js"
import { promptsOfShown } from "../magi/prompts.js"
import { sentenceOf, sentenceOfRefusal } from "./model.js"

const LIFE = 30_000 // milliseconds: long enough to read what to do

app.registerExtension({ name: "magi.errors", setup })

function setup() {
  const isOurs = promptsOfShown(() => app.rootGraph.id, workflowOf)
  onFailure(async (failure) => {
    if (!(await isOurs(failure.prompt_id))) return
    show(sentenceOf(failure, titleOf(failure.node_id) ?? failure.node_type))
  })
  onRefused((refusals) => {
    for (const each of refusals) show(sentenceOfRefusal(each, titleOf(each.node_id) ?? each.class_type))
  })
}

/** @param {string} id */
function titleOf(id) {
  return findNode(app.rootGraph, id)?.title
}

/** @param {import("./model.js").Sentence | undefined} sentence */
function show(sentence) {
  if (sentence) app.extensionManager?.toast.add({ severity: "error", life: LIFE, ...sentence })
}
