import assert from "node:assert/strict"
import { test } from "node:test"
import { sentenceOf, sentenceOfRefusal } from "../../js/errors/model.js"

const failure = (exception_type) => ({
  prompt_id: "p",
  node_id: "1",
  node_type: "MagiExtend",
  exception_type,
  exception_message: "width must be a multiple of 16: 725 -> use 720 or 736\n",
})

test("a sentence that was written for the user is shown, with the name of its node", () => {
  assert.deepEqual(sentenceOf(failure("magi_core.errors.MagiError"), "My sampler"), {
    summary: "My sampler",
    detail: "width must be a multiple of 16: 725 -> use 720 or 736",
  })
})

test("errors of others are left to ComfyUI", () => {
  for (const type of ["RuntimeError", "other.NotMagiErrorAtAll", "torch.OutOfMemoryError"]) {
    assert.equal(sentenceOf(failure(type), "x"), undefined)
  }
})

test("what a node refuses before the run is shown without the input's name, which ComfyUI puts first", () => {
  const refusal = { node_id: "1", class_type: "MagiStoryboard", type: "custom_validation_failed", details: "text - line 2: a" }
  assert.deepEqual(sentenceOfRefusal(refusal, "My story"), { summary: "My story", detail: "line 2: a" })
  assert.equal(sentenceOfRefusal({ ...refusal, class_type: "KSampler" }, "x"), undefined)
  assert.equal(sentenceOfRefusal({ ...refusal, type: "required_input_missing" }, "x"), undefined)
})
