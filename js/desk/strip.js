// A row of cells on a time ruler: one or more lanes that share ruler, scroll and cursor.
//
// It knows chunks and seconds, and nothing of what a cell shows: a lane fills its cells. One lane, the first, has focus
// and selection.
import { useStyles } from "../magi/style.js"
import { at, LaneView } from "./lane.js"
import { part } from "./parts.js"
import { Ruler } from "./ruler.js"
import { Selection } from "./selection.js"
import { handle } from "./strip_hands.js"
import { fitUnasked } from "./strip_zoom.js"

/** @typedef {import("./lane.js").Item} Item */
/**
 * @template {Item} [T=any]
 * @typedef {import("./lane.js").Lane<T>} Lane
 */
/** @typedef {import("./strip_hands.js").Hands} Hands */

/**
 * @typedef {object} Options
 * @property {string} label what the strip is, for a screen reader
 * @property {Lane[]} lanes the first one has focus and selection
 * @property {Hands} hands
 * @property {number} [first] chunk at which it begins: 0
 * @property {number} [fps] of the finished video: 24
 * @property {number} [chunkWidth] pixels: 96
 * @property {number} [least] pixels that a chunk may have so that all are seen at once: 96
 * @property {number} [tail] pixels behind the last chunk: 48
 * @property {boolean} [several] whether several items can be selected at once: true
 */

const MARGIN = 300 // pixels beyond what is seen that are drawn as well

let made = 0 // strips on this page: their cells have ids of their own

export class Strip {
  ruler = new Ruler()
  width = 0 // pixels in sight
  #frame = 0
  zoomed = false // by hand: so it stays
  dragged = false // something on it is: it keeps its measure
  scrolled = 0 // pixels, the last time that it was on the page
  scrollsTo = 0 // once there is so much to see

  /** @param {Options} options */
  constructor({ label, lanes, hands, first = 0, fps = 24, chunkWidth = 96, least = chunkWidth, tail = 48, several = true }) {
    this.fps = fps
    this.first = first
    this.chunkWidth = this.usual = chunkWidth
    this.least = least
    this.tail = tail
    this.hands = hands
    this.selection = new Selection(first, several)
    this.id = `magi-strip-${++made}`
    this.lanes = lanes
    this.views = lanes.map((lane, i) => new LaneView(lane, i ? "" : this.id))
    this.rows = this.views.map(({ row }) => row)
    this.element = part("div", "magi-strip")
    const box = { role: "combobox", inputmode: "none", "aria-expanded": "true", "aria-haspopup": "listbox" }
    this.keys = part("input", "magi-keys", { ...box, readonly: "", "aria-controls": this.id, "aria-label": label })
    // Nodes 2.0 leaves the wheel to what has this mark and the focus.
    this.scroller = part("div", "magi-scroller", { "data-capture-wheel": "true", tabindex: "-1" })
    const list = { role: "listbox", "aria-label": label, "aria-orientation": "horizontal", id: this.id }
    this.content = part("div", "magi-content", { ...list, "aria-multiselectable": String(several) })
    this.playhead = part("div", "magi-playhead")
    this.sizes = new ResizeObserver(() => {
      this.width = this.scroller.clientWidth
      if (this.width && fitUnasked(this)) this.draw()
      else this.#soon()
    })
    useStyles(new URL("./desk.css", import.meta.url).href)
    this.content.append(this.ruler.element, ...this.rows, this.playhead)
    this.scroller.append(this.content)
    this.element.append(this.keys, this.scroller)
    this.scroller.addEventListener("scroll", () => this.#soon(), { passive: true })
    this.sizes.observe(this.scroller)
    handle(this)
  }

  // What is there -----------------------------------------------------------------------------------------------------

  get items() {
    return /** @type {Lane} */ (this.lanes[0]).items()
  }

  /** The chunk behind the last one. */
  get end() {
    const ends = this.lanes.filter(({ hides }) => !hides).map((lane) => (lane.items().at(-1)?.last ?? this.first - 1) + 1)
    return Math.max(this.first, ...ends)
  }

  /** Chunk that the playhead is at. */
  get cursor() {
    return this.selection.cursor
  }

  /** The item at the cursor. */
  get focused() {
    const items = this.items
    return items[at(items, this.cursor)]
  }

  /** Selected items in order of time: at least the one with the focus. */
  get selected() {
    const chosen = this.items.filter(({ id }) => this.selection.ids.has(id))
    return chosen.length || !this.focused ? chosen : [this.focused]
  }

  // Where it is -------------------------------------------------------------------------------------------------------

  /** @param {number} chunk */
  left(chunk) {
    return (chunk - this.first) * this.chunkWidth
  }

  /** How large the strip is shown, by the zoom of ComfyUI's canvas; 1: as laid out. */
  get zoom() {
    return this.scroller.getBoundingClientRect().width / this.scroller.offsetWidth || 1
  }

  /**
   * Place of a pointer in chunks, fractions included.
   * @param {{ clientX: number }} event
   */
  place({ clientX }) {
    const box = this.scroller.getBoundingClientRect()
    return this.first + ((clientX - box.left) / this.zoom + this.scroller.scrollLeft) / this.chunkWidth
  }

  /** @param {{ clientX: number }} event */
  chunkAt(event) {
    return Math.max(this.first, Math.min(this.end - 1, Math.floor(this.place(event))))
  }

  /**
   * The item of the first lane that an event happened on.
   * @param {Event} event
   */
  itemUnder(event) {
    const cell = /** @type {HTMLElement | null} */ (event.target)?.closest?.(".magi-slot")
    const id = cell && [...(this.views[0]?.cells ?? [])].find(([, e]) => e === cell)?.[0]
    return id === undefined ? undefined : this.items.find((item) => item.id === id)
  }

  /** @param {Item["id"]} id */
  cellOf(id) {
    return this.views[0]?.cells.get(id)
  }

  // Changes -----------------------------------------------------------------------------------------------------------

  /** Draw again: items changed, or what they show. */
  draw() {
    if (this.width && !this.dragged) fitUnasked(this)
    this.selection.keep(this.items, this.first, this.end)
    this.content.style.width = `${this.left(this.end) + this.tail}px`
    this.see(true)
    this.mark()
  }

  /**
   * Put the cursor on a chunk, and select what lies there. By itself it neither takes the keyboard nor scrolls.
   * @param {number} chunk
   * @param {Item} [item] the one that lies there, where it is known
   * @param {"only" | "more" | "toggle"} [how] alone, all from where the selection began, or besides
   */
  go(chunk, item = this.items[at(this.items, chunk)], how = "only") {
    if (!item) return
    this.selection.go(this.items, item, chunk, how)
    this.mark()
    this.hands.selected?.()
  }

  /** @param {readonly Item["id"][]} ids */
  select(ids) {
    this.selection.select(ids, this.items)
    this.mark()
    this.hands.selected?.()
  }

  /** Give the strip the keyboard. */
  focus() {
    this.keys.focus({ preventScroll: true })
  }

  /**
   * Scroll so that a chunk is seen.
   * @param {number} chunk
   */
  reveal(chunk) {
    const [left, right] = [this.left(chunk), this.left(chunk + 1)]
    const { scrollLeft } = this.scroller
    if (left < scrollLeft) this.scroller.scrollLeft = left - 8
    else if (right > scrollLeft + this.width) {
      this.scroller.scrollLeft = Math.min(left, right - this.width + 8)
    }
    this.#soon()
  }

  // Drawing -----------------------------------------------------------------------------------------------------------

  /** Draw what has come in sight with the next frame. */
  #soon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0
      this.see(false)
    })
  }

  /**
   * Draw what is in sight.
   * @param {boolean} all cells that are there already are drawn again
   */
  see(all) {
    if (this.width && this.left(this.end) > this.scrollsTo) {
      if (this.scrollsTo) this.scroller.scrollLeft = this.scrollsTo
      this.scrollsTo = 0
    }
    const { scrollLeft } = this.scroller
    if (this.width) this.scrolled = scrollLeft
    const from = this.first + (scrollLeft - MARGIN) / this.chunkWidth
    const to = this.first + (scrollLeft + this.width + MARGIN) / this.chunkWidth
    for (const view of this.views) view.draw(this, from, to, all)
    this.ruler.draw(this, from, to, all)
  }

  /** Show what is selected, and where the cursor is. */
  mark() {
    const focused = this.focused
    for (const [id, cell] of this.views[0]?.cells ?? []) {
      cell.classList.toggle("magi-selected", this.selection.ids.has(id))
      cell.classList.toggle("magi-focused", id === focused?.id)
      cell.setAttribute("aria-selected", String(this.selection.ids.has(id)))
    }
    if (focused) this.keys.setAttribute("aria-activedescendant", `${this.id}-${focused.id}`)
    else this.keys.removeAttribute("aria-activedescendant")
    this.playhead.hidden = !focused
    this.playhead.style.transform = `translateX(${this.left(this.cursor)}px)`
    this.playhead.style.width = `${this.chunkWidth}px`
  }

  /** Let go of everything. */
  remove() {
    this.sizes.disconnect()
    cancelAnimationFrame(this.#frame)
    for (const view of this.views) view.release()
    this.element.remove()
  }
}

