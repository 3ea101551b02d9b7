import assert from "node:assert/strict"
import { test } from "node:test"
import { inWords, priceOf } from "../../js/desk/price.js"

const plan = (kinds, more = {}) => ({
  first: 0,
  chunks: [...kinds].map((kind, index) => ({ index, key: "", kind: { k: "kept", r: "remembered", c: "computed" }[kind] })),
  cost: 43,
  seconds: 28,
  exact: true,
  ...more,
})

test("the price names what is made, what that takes, and what is there", () => {
  assert.equal(priceOf(plan("kkkkkkcccc")), "chunks 6–9: 43 chunk-forwards, about 28 s; 0–5 kept")
  assert.equal(priceOf(plan("rrcr", { seconds: null })), "chunk 2: 43 chunk-forwards; 0–1, 3 from memory")
  assert.equal(priceOf(plan("cc", { exact: false })), "chunks 0–1: at most 43 chunk-forwards, about 28 s")
  assert.equal(priceOf(plan("rk")), "Nothing is made: all 2 chunks are there")
})

test("chunks count from the first of the storyboard, as its lines do", () => {
  const { chunks } = plan("kcc")
  assert.equal(priceOf(plan("", { first: 7, chunks: chunks.map((c) => ({ ...c, index: c.index + 7 })) })).slice(0, 11), "chunks 1–2:")
})

test("of many stretches the first and the last chunk are named", () => {
  assert.equal(inWords([[0, 0], [2, 2], [4, 4], [6, 6], [8, 9]]), "chunks 0–9")
})
