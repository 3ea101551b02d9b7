// Lines moved by the pointer: an edge stretches its line, a line is put elsewhere.

/** @typedef {import("./story.js").Placed} Placed */

const SLACK = 5 // pixels that a pointer may move without meaning it
const EDGE = 28 // pixels at the ends of the strip where it scrolls by itself
const PACE = 14 // pixels that it then scrolls with a frame

/**
 * @typedef {object} Hands
 * @property {() => readonly Placed[]} blocks as they lie now
 * @property {() => boolean} locked nothing can be changed now
 * @property {(id: number, length: number) => void} stretching its line would be so long
 * @property {(index: number) => void} moving what is selected would go before the block at `index`
 * @property {(keep: boolean) => void} dropped the pointer is let go; false: all stays as it was
 * @property {(id: number, tag: string) => void} mark a mark was pressed
 */

/**
 * @param {import("./strip.js").Strip} strip
 * @param {Hands} hands
 */
export function dragOn(strip, hands) {
  const row = /** @type {HTMLElement} */ (strip.rows[0])
  const caret = Object.assign(document.createElement("div"), { className: "magi-caret", hidden: true })
  row.append(caret)
  row.addEventListener("pointerdown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target)
    const id = Number(/** @type {HTMLElement | null} */ (target.closest("[data-block]"))?.dataset.block)
    const block = hands.blocks().find((each) => each.id === id)
    if (event.button !== 0 || !block || hands.locked() || target.closest("textarea")) return
    const move = target.closest(".magi-edge") ? stretcher(strip, hands, block) : mover(strip, hands, caret)
    const tag = /** @type {HTMLElement | null} */ (target.closest("[data-tag]"))?.dataset.tag
    follow(strip, row, event, { move, dropped: (keep, moved) => drop(hands, caret, keep, moved, id, tag) })
  })
}

/**
 * @param {Hands} hands
 * @param {HTMLElement} caret
 * @param {boolean} keep
 * @param {boolean} moved
 * @param {number} id
 * @param {string | undefined} tag
 */
function drop(hands, caret, keep, moved, id, tag) {
  caret.hidden = true
  if (moved) hands.dropped(keep)
  else if (keep && tag) hands.mark(id, tag)
}

/**
 * @param {import("./strip.js").Strip} strip
 * @param {Hands} hands
 * @param {Placed} block
 */
function stretcher(strip, hands, block) {
  return (/** @type {PointerEvent} */ event) => {
    hands.stretching(block.id, Math.max(1, Math.round(strip.place(event) - block.first)))
  }
}

/**
 * @param {import("./strip.js").Strip} strip
 * @param {Hands} hands
 * @param {HTMLElement} caret
 */
function mover(strip, hands, caret) {
  return (/** @type {PointerEvent} */ event) => {
    const blocks = hands.blocks()
    const place = strip.place(event)
    const index = blocks.filter(({ first, end }) => place > (first + end + 1) / 2).length
    caret.hidden = false
    caret.style.transform = `translateX(${strip.left(blocks[index]?.first ?? (blocks.at(-1)?.end ?? -1) + 1)}px)`
    hands.moving(index)
  }
}

/**
 * Follow a pointer until it is let go, and scroll where it leaves what is seen.
 * @param {import("./strip.js").Strip} strip
 * @param {HTMLElement} row
 * @param {PointerEvent} begun
 * @param {{ move: (event: PointerEvent) => void, dropped: (keep: boolean, moved: boolean) => void }} hands
 */
function follow(strip, row, begun, { move, dropped }) {
  let latest = begun
  let moved = false
  let frame = 0
  const scroll = () => {
    const { left, right } = strip.scroller.getBoundingClientRect()
    const by = latest.clientX < left + EDGE ? -PACE : latest.clientX > right - EDGE ? PACE : 0
    strip.scroller.scrollLeft += by
    if (by) move(latest)
    frame = requestAnimationFrame(scroll)
  }
  const stop = new AbortController()
  const { signal } = stop
  /** @param {boolean} keep */
  const end = (keep) => {
    stop.abort()
    cancelAnimationFrame(frame)
    dropped(keep, moved)
  }
  const onMove = (/** @type {PointerEvent} */ event) => {
    latest = event
    if (!moved && Math.abs(event.clientX - begun.clientX) < SLACK * strip.zoom) return
    if (!moved) {
      row.setPointerCapture(begun.pointerId) // not before: a double click would be the row's
      frame = requestAnimationFrame(scroll)
    }
    moved = true
    move(event)
  }
  row.addEventListener("pointermove", onMove, { signal })
  row.addEventListener("pointerup", () => end(true), { signal })
  row.addEventListener("pointercancel", () => end(false), { signal })
  const escape = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape") return
    event.stopPropagation()
    end(false)
  }
  window.addEventListener("keydown", escape, { signal, capture: true })
}
