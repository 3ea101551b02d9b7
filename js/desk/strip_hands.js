// What the pointer, the wheel and the keyboard do on a strip.
//
// The keyboard goes into a read-only input: ComfyUI leaves keys to inputs, also those of undo and delete.
import { at } from "./lane.js"

/** @typedef {import("./lane.js").Item} Item */
/** @typedef {import("./strip.js").Strip} Strip */

/**
 * What somebody does on the strip. A handler that is left out is a thing that cannot be done.
 * @typedef {object} Hands
 * @property {(item: Item) => void} [open] Enter, or a double click
 * @property {() => void} [play] space
 * @property {(event: KeyboardEvent) => boolean} [key] any other key; true: it was used, nobody else gets it
 * @property {() => void} [selected] focus, cursor or selection changed
 * @property {(item: Item, x: number, y: number) => void} [menu] asked for by the right button or the keyboard
 */

/** @param {Strip} strip */
export function handle(strip) {
  const { content, keys, scroller, hands } = strip
  keys.addEventListener("keydown", (event) => pressKey(strip, event))
  keys.addEventListener("focus", () => strip.mark())
  content.addEventListener("pointerdown", (event) => press(strip, event))
  content.addEventListener("dblclick", (event) => {
    const item = strip.itemUnder(event)
    if (item) hands.open?.(item)
  })
  content.addEventListener("contextmenu", (event) => {
    const item = strip.itemUnder(event)
    if (!item || !hands.menu) return
    event.preventDefault()
    event.stopPropagation()
    if (!strip.selection.ids.has(item.id)) strip.go(strip.chunkAt(event), item)
    hands.menu(item, event.clientX, event.clientY)
  })
  scroller.addEventListener("wheel", (event) => turnWheel(strip, event), { passive: false })
}

/** @param {Strip} strip @param {PointerEvent} event */
function press(strip, event) {
  if (event.button === 1) return // the middle button moves ComfyUI's canvas
  if (/** @type {HTMLElement} */ (event.target).closest("textarea, button, input")) return
  event.preventDefault() // the keyboard stays with the strip
  strip.focus()
  if (event.button !== 0) return
  const chunk = strip.chunkAt(event)
  const item = strip.itemUnder(event) ?? strip.items[at(strip.items, chunk)]
  if (!item) return
  // What is selected already stays so until the button is let go: it may be dragged.
  if (event.shiftKey) strip.go(chunk, item, "more")
  else if (event.ctrlKey || event.metaKey) strip.go(chunk, item, "toggle")
  else if (strip.selection.ids.has(item.id) && strip.selection.ids.size > 1) strip.selection.cursor = chunk
  else strip.go(chunk, item)
  strip.mark()
}

/** @param {Strip} strip @param {KeyboardEvent} event */
function pressKey(strip, event) {
  if (goByKey(strip, event) || doByKey(strip, event) || strip.hands.key?.(event)) {
    event.preventDefault()
    event.stopPropagation()
  } else if (!event.ctrlKey && !event.metaKey && event.key !== "Tab") event.stopPropagation()
}

/**
 * Keys that go somewhere.
 * @param {Strip} strip
 * @param {KeyboardEvent} event
 */
function goByKey(strip, { key, shiftKey, ctrlKey, metaKey, altKey }) {
  if (altKey) return false
  const { items, cursor, first, end } = strip
  const now = at(items, cursor)
  if (ctrlKey || metaKey) {
    if (key.toLowerCase() !== "a" || shiftKey || !strip.selection.several) return false
    strip.select(items.map(({ id }) => id))
    return true
  }
  /** @type {Record<string, number>} */
  const steps = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: items.length - 1 }
  if (key in steps) {
    const item = items[Math.max(0, Math.min(items.length - 1, steps[key] ?? 0))]
    if (item) strip.go(item.first, item, shiftKey ? "more" : "only")
  } else if (key === "," || key === ".") {
    strip.go(Math.max(first, Math.min(end - 1, cursor + (key === "," ? -1 : 1))))
  } else return false
  strip.reveal(strip.cursor)
  strip.see(false)
  strip.mark()
  return true
}

/**
 * Keys that do something.
 * @param {Strip} strip
 * @param {KeyboardEvent} event
 */
function doByKey(strip, { key, shiftKey, ctrlKey, metaKey, altKey }) {
  if (ctrlKey || metaKey || altKey) return false
  const { focused: item, hands } = strip
  if (key === "Enter" && !shiftKey && hands.open) {
    if (item) hands.open(item)
  } else if (key === " " && hands.play) hands.play()
  else if ((key === "ContextMenu" || (key === "F10" && shiftKey)) && hands.menu) {
    const box = item && strip.cellOf(item.id)?.getBoundingClientRect()
    if (item && box) hands.menu(item, Math.max(box.left, strip.scroller.getBoundingClientRect().left), box.bottom)
  } else return false
  return true
}

/** @param {Strip} strip @param {WheelEvent} event */
function turnWheel({ scroller, element }, event) {
  const zooms = event.ctrlKey || event.metaKey
  const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)
  const room = scroller.scrollWidth > scroller.clientWidth
  if (zooms || !room || !(sideways || element.contains(document.activeElement))) return
  event.preventDefault()
  event.stopPropagation()
  scroller.scrollLeft += event.deltaX || event.deltaY
}
