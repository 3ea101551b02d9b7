// The words of a line, edited where they stand.
import { keepInside, part } from "./parts.js"
import { words } from "./story_words.js"

const NARROWEST = 260 // pixels: a chunk may be narrower

/**
 * @typedef {object} Hands
 * @property {(prompt: string) => void} typed
 * @property {(how: "done" | "cancel" | "next" | "previous" | "new", byKeyboard: boolean) => void} ended
 */

/**
 * A field over a line of a strip; it goes away by itself.
 * @param {import("./strip.js").Strip} strip
 * @param {HTMLElement} row where it stands
 * @param {{ first: number, last: number, prompt: string, where: string }} line
 * @param {Hands} hands
 * @returns {() => void} ends it
 */
export function editLine(strip, row, { first, last, prompt, where }, { typed, ended }) {
  const label = words("prompt", { where })
  const field = part("textarea", "magi-editor", { "aria-label": label, placeholder: words("prompt_here"), spellcheck: "false" })
  field.value = prompt
  const width = Math.min(Math.max(NARROWEST, (last - first + 1) * strip.chunkWidth), Math.max(120, strip.width - 8))
  const { scrollLeft } = strip.scroller
  const left = Math.max(scrollLeft + 4, Math.min(strip.left(first), scrollLeft + strip.width - width - 4))
  field.style.left = `${left}px`
  field.style.width = `${width}px`
  keepInside(field)
  let open = true
  /** @param {Parameters<Hands["ended"]>[0]} how @param {boolean} byKeyboard */
  const end = (how, byKeyboard) => {
    if (!open) return
    open = false
    field.remove()
    ended(how, byKeyboard)
  }
  field.addEventListener("input", () => typed(field.value))
  field.addEventListener("blur", () => end("done", false))
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return // Enter chooses a word of an input method
    const { key, shiftKey, ctrlKey, metaKey } = event
    if (key === "Escape") end("cancel", true)
    else if (key === "Tab") end(shiftKey ? "previous" : "next", true)
    else if (key === "Enter" && (ctrlKey || metaKey)) end("new", true)
    else if (key === "Enter") end("done", true)
    else return
    event.preventDefault()
    event.stopPropagation()
  })
  row.append(field)
  field.focus({ preventScroll: true })
  field.setSelectionRange(prompt.length, prompt.length)
  return () => end("done", false)
}
