import assert from "node:assert/strict"
import { test } from "node:test"
import { findNode, findWidget, isMagi } from "../../js/magi/graph.js"

const graph = (nodes) => ({ getNodeById: (id) => (typeof id === "number" ? nodes[id] : null) })

test("a node is found by its id, and inside subgraphs by its path", () => {
  const inner = { name: "inner" }
  const middle = { subgraph: graph({ 3: inner }) }
  const root = graph({ 1: { subgraph: graph({ 2: middle }) }, 4: inner })
  assert.equal(findNode(root, "4"), inner)
  assert.equal(findNode(root, "1:2:3"), inner)
  assert.equal(findNode(root, "1:2"), middle)
})

test("where no node is, none is found", () => {
  const root = graph({ 1: {} })
  for (const id of ["2", "1:2", "1:2:3", "5:1"]) assert.equal(findNode(root, id), undefined)
})

test("nodes of this pack are told from others", () => {
  assert.ok(isMagi({ comfyClass: "MagiExtend" }))
  assert.ok(!isMagi({ comfyClass: "KSampler" }))
  assert.ok(!isMagi({}))
})

test("a widget is found by its name", () => {
  const widgets = [{ name: "seed" }, { name: "steps" }]
  assert.equal(findWidget({ widgets }, "steps"), widgets[1])
  assert.equal(findWidget({ widgets }, "chunks"), undefined)
  assert.equal(findWidget({}, "steps"), undefined)
})
