import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { COLOURS } from "../../js/wires/colours.js"

const read = (file) => readFileSync(new URL(`../../${file}`, import.meta.url), "utf8")
const light = (hex) => {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const part = parseInt(hex.slice(at, at + 2), 16) / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}
const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05)

test("every wire of this pack has a colour", () => {
  const types = [...read("nodes/wires.py").matchAll(/io\.Custom\("(\w+)"\)/g)].map(([, type]) => type)
  assert.deepEqual(Object.keys(COLOURS).sort(), types.sort())
})

test("both renderers show the same colours", () => {
  const styles = [...read("js/wires/wires.css").matchAll(/--color-datatype-(\w+): (#\w+);/g)]
  assert.deepEqual(Object.fromEntries(styles.map(([, type, colour]) => [type, colour])), COLOURS)
})

test("wires are seen on ComfyUI's dark canvas and on its light one", () => {
  for (const [type, colour] of Object.entries(COLOURS)) {
    for (const canvas of ["#141414", "#d3d3d3"]) assert.ok(contrast(colour, canvas) > 2.8, `${type} on ${canvas}: ${contrast(colour, canvas)}`)
  }
})

test("no two wires look alike", () => {
  const parts = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16))
  const all = Object.entries(COLOURS)
  for (const [a, x] of all) {
    for (const [b, y] of all) {
      const far = Math.hypot(...parts(x).map((part, i) => part - parts(y)[i]))
      assert.ok(a === b || far > 60, `${a} and ${b}: ${far}`)
    }
  }
})
