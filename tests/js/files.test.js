// What holds for every file below js/. ComfyUI imports each by itself: the features, and what they are made of.
import assert from "node:assert/strict"
import { readdirSync, readFileSync } from "node:fs"
import { register } from "node:module"
import { test } from "node:test"

const JS = new URL("../../js/", import.meta.url)
const files = readdirSync(JS, { recursive: true }).filter((file) => file.endsWith(".js"))

const resolve = async (specifier, context, next) => {
  const name = /\/scripts\/(app|api)\.js$/.exec(specifier)?.[1]
  const url = `data:text/javascript,export const ${name} = globalThis.frontend.${name}`
  return name ? { url, shortCircuit: true } : next(specifier, context)
}
register(`data:text/javascript,${encodeURIComponent(`export const resolve = ${resolve}`)}`)

/** What was called of the frontend's `app` and `api`, as "app.registerExtension magi.clips". */
const calls = []
const recorder = (name) =>
  new Proxy({}, { get: (_, method) => (given) => void calls.push(`${name}.${method} ${given?.name ?? given}`) })
globalThis.frontend = { app: recorder("app"), api: recorder("api") }

for (const file of files.sort((a, b) => a.endsWith("index.js") - b.endsWith("index.js"))) {
  test(`${file} does no more than it should when it is imported`, async () => {
    calls.length = 0
    await import(new URL(file, JS))
    if (!file.endsWith("index.js")) assert.deepEqual(calls, [])
    const done = calls.filter((call) => !call.startsWith("api.addEventListener magi."))
    if (file.endsWith("index.js")) assert.match(`${done}`, /^app\.registerExtension magi\.\w+$/)
  })
}

const using = (pattern) => files.filter((file) => pattern.test(readFileSync(new URL(file, JS), "utf8")))

test("one file talks to ComfyUI's api", () => {
  assert.deepEqual(using(/scripts\/api\.js/), ["magi/api.js"])
})

test("nothing is shown by way of markup, which what the server says could be part of", () => {
  assert.deepEqual(using(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment/), [])
})
