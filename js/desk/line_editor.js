// The words of a line, edited where they stand.
import { add } from "./deeds.js"
import { direct } from "./edits.js"
import { did } from "./history.js"
import { keepInside, part } from "./parts.js"
import { placeInWords, words } from "./story_words.js"

/** @typedef {import("./storyboard.js").StoryboardDesk} Desk */

const NARROWEST = 260 // pixels: a chunk may be narrower

/**
 * @typedef {object} Hands
 * @property {(prompt: string) => void} typed
 * @property {(how: How, byKeyboard: boolean) => void} ended
 */

/**
 * Edit the words of a line where they stand. All that is typed is one step to undo.
 * @param {Desk} desk
 * @param {number} id
 */
export function editWords(desk, id) {
  if (desk.locked) return
  desk.endEdit?.()
  const { strip, editing } = desk
  const block = desk.items.find((each) => each.id === id)?.block
  const row = strip.rows[0]
  if (!block || !row) return
  strip.reveal(block.first)
  const { first, last, prompt } = block
  const before = editing.history
  desk.endEdit = editLine(strip, row, { first, last, prompt, where: placeInWords(first, last) }, {
    typed: (typed) => {
      editing.take(did(before, direct(before.now, [id], { prompt: typed })))
      desk.taken()
    },
    ended: (how, byKeyboard) => ended(desk, how, byKeyboard, before, id),
  })
}

/**
 * @param {Desk} desk
 * @param {How} how
 * @param {boolean} byKeyboard
 * @param {import("./history.js").History} before
 * @param {number} id
 */
function ended(desk, how, byKeyboard, before, id) {
  const { strip, editing } = desk
  desk.endEdit = undefined
  if (how === "cancel" && editing.history !== before) {
    editing.take(before)
    desk.taken()
  }
  void desk.settled().then(() => desk.host.changed())
  if (byKeyboard) strip.focus()
  strip.select([id])
  const next = desk.story.findIndex((each) => each.id === id) + (how === "next" ? 1 : how === "previous" ? -1 : 0)
  const line = desk.story[next]
  if (how === "new") add(desk)
  else if (line && line.id !== id) {
    strip.select([line.id])
    editWords(desk, line.id)
  }
}

/** @typedef {"done" | "cancel" | "next" | "previous" | "new"} How */

/**
 * A field over a line of a strip; it goes away by itself.
 * @param {import("./strip.js").Strip} strip
 * @param {HTMLElement} row where it stands
 * @param {{ first: number, last: number, prompt: string, where: string }} line
 * @param {Hands} hands
 * @returns {() => void} ends it
 */
function editLine(strip, row, { first, last, prompt, where }, { typed, ended }) {
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
  /** @param {How} how @param {boolean} byKeyboard */
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
