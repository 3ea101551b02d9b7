// A row of cells on a time ruler, drawn only where it is seen: one or more lanes that share ruler, scroll and cursor.
//
// It knows chunks and seconds, and nothing of what a cell shows: a lane fills its cells. One lane, the first, has focus
// and selection. The keyboard goes into a read-only input: ComfyUI leaves keys to inputs, also those of undo and delete.
import { useStyles } from "../magi/style.js"
import { words } from "./story_words.js"

/**
 * What lies on a lane: chunks `first` to `last`.
 * @typedef {object} Item
 * @property {number | string} id stays while the item is the same one, wherever it lies
 * @property {number} first
 * @property {number} last
 */

/**
 * @template {Item} [T=any]
 * @typedef {object} Lane
 * @property {string} name becomes a class of its cells: "magi-lane-NAME"
 * @property {() => readonly T[]} items in order of time, none over another
 * @property {(cell: HTMLElement, item: T) => void} draw fills a cell, which may show an older form of the same item
 * @property {(cell: HTMLElement) => void} [leave] a cell goes out of sight: what it holds (a video) can be let go
 * @property {(item: T) => string} [say] the item in words, for a screen reader
 */

/**
 * What somebody does on the strip. A handler that is left out is a thing that cannot be done.
 * @typedef {object} Hands
 * @property {(item: Item) => void} [open] Enter, or a double click
 * @property {() => void} [play] space
 * @property {(event: KeyboardEvent) => boolean} [key] any other key; true: it was used, nobody else gets it
 * @property {() => void} [selected] focus, cursor or selection changed
 * @property {(item: Item, x: number, y: number) => void} [menu] asked for by the right button or the keyboard
 */

/**
 * @typedef {object} Options
 * @property {string} label what the strip is, for a screen reader
 * @property {Lane[]} lanes the first one has focus and selection
 * @property {Hands} hands
 * @property {number} [first] chunk at which it begins: 0
 * @property {number} [fps] of the finished video: 24
 * @property {number} [chunkWidth] pixels: 96
 * @property {boolean} [several] whether several items can be selected at once: true
 */

const FRAMES = 24 // of a chunk
const MARGIN = 300 // pixels beyond what is seen that are drawn as well
const TAIL = 48 // pixels behind the last chunk
const LABEL = 54 // least distance of two labels on the ruler
const STEPS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3000, 6000, 12000]
export const NARROWEST = 6 // pixels of a chunk
export const WIDEST = 240

let made = 0 // strips on this page: their cells have ids of their own

export class Strip {
  /** @param {Options} options */
  constructor({ label, lanes, hands, first = 0, fps = 24, chunkWidth = 96, several = true }) {
    this.fps = fps
    this.first = first
    this.cursor = first // chunk that the playhead is at
    /** @type {Set<Item["id"]>} */
    this.selection = new Set()
    this.lanes = lanes
    this.chunkWidth = chunkWidth
    this.hands = hands
    this.several = several
    this.number = ++made
    this.anchor = first // chunk where a selection of several began
    /** @type {Map<Item["id"], HTMLElement>[]} cells in sight, by lane */
    this.drawn = lanes.map(() => new Map())
    /** @type {Map<number, HTMLElement>} */
    this.ticks = new Map()
    this.width = 0 // pixels in sight
    this.frame = 0

    this.element = make("div", "magi-strip")
    this.keys = make("input", "magi-keys")
    this.scroller = make("div", "magi-scroller")
    this.content = make("div", "magi-content")
    this.ruler = make("div", "magi-ruler")
    this.rows = lanes.map(({ name }) => make("div", `magi-row magi-row-${name}`))
    this.playhead = make("div", "magi-playhead")
    this.sizes = new ResizeObserver(() => {
      this.width = this.scroller.clientWidth
      this.#soon()
    })
    useStyles(new URL("./desk.css", import.meta.url).href)
    this.#build(label)
    this.#listen()
  }

  /** @param {string} label */
  #build(label) {
    this.keys.readOnly = true
    const id = `magi-strip-${this.number}`
    const box = { role: "combobox", inputmode: "none", "aria-expanded": "true", "aria-haspopup": "listbox" }
    say(this.keys, { ...box, "aria-controls": id, "aria-label": label })
    this.scroller.dataset.captureWheel = "true" // Nodes 2.0 leaves the wheel to what has this mark and the focus
    this.scroller.tabIndex = -1
    this.content.id = id
    const list = { role: "listbox", "aria-label": label, "aria-orientation": "horizontal" }
    say(this.content, { ...list, "aria-multiselectable": String(this.several) })
    this.ruler.setAttribute("aria-hidden", "true")
    this.rows.forEach((row, i) => say(row, i ? { "aria-hidden": "true" } : { role: "presentation" }))
    this.content.append(this.ruler, ...this.rows, this.playhead)
    this.scroller.append(this.content)
    this.element.append(this.keys, this.scroller)
  }

  #listen() {
    this.scroller.addEventListener("scroll", () => this.#soon(), { passive: true })
    this.sizes.observe(this.scroller)
    this.keys.addEventListener("keydown", (event) => this.#key(event))
    this.keys.addEventListener("focus", () => this.#mark())
    this.content.addEventListener("pointerdown", (event) => this.#press(event))
    this.content.addEventListener("dblclick", (event) => {
      const item = this.itemUnder(event)
      if (item) this.hands.open?.(item)
    })
    this.content.addEventListener("contextmenu", (event) => {
      const item = this.itemUnder(event)
      if (!item || !this.hands.menu) return
      event.preventDefault()
      event.stopPropagation()
      if (!this.selection.has(item.id)) this.go(this.chunkAt(event), item)
      this.hands.menu(item, event.clientX, event.clientY)
    })
    this.scroller.addEventListener("wheel", (event) => this.#wheel(event), { passive: false })
  }

  // What is there -----------------------------------------------------------------------------------------------------

  get items() {
    return /** @type {Lane} */ (this.lanes[0]).items()
  }

  /** The chunk behind the last one. */
  get end() {
    return this.lanes.reduce((end, lane) => Math.max(end, (lane.items().at(-1)?.last ?? this.first - 1) + 1), this.first)
  }

  /** The item at the cursor. */
  get focused() {
    const items = this.items
    return items[at(items, this.cursor)]
  }

  /** Selected items in order of time: at least the one with the focus. */
  get selected() {
    const chosen = this.items.filter(({ id }) => this.selection.has(id))
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
    const id = cell && [.../** @type {Map<Item["id"], HTMLElement>} */ (this.drawn[0])].find(([, e]) => e === cell)?.[0]
    return id === undefined ? undefined : this.items.find((item) => item.id === id)
  }

  /** @param {Item["id"]} id */
  cellOf(id) {
    return this.drawn[0]?.get(id)
  }

  // Changes -----------------------------------------------------------------------------------------------------------

  /** Draw again: items changed, or what they show. */
  draw() {
    const items = this.items
    const known = new Set(items.map(({ id }) => id))
    for (const id of this.selection) if (!known.has(id)) this.selection.delete(id)
    this.cursor = Math.max(this.first, Math.min(this.cursor, this.end - 1))
    this.content.style.width = `${this.left(this.end) + TAIL}px`
    this.#see(true)
    this.#mark()
  }

  /**
   * Put the cursor on a chunk, and select what lies there. By itself it neither takes the keyboard nor scrolls.
   * @param {number} chunk
   * @param {Item} [item] the one that lies there, where it is known
   * @param {"only" | "more" | "toggle"} [how] alone, all from where the selection began, or besides
   */
  go(chunk, item = this.items[at(this.items, chunk)], how = "only") {
    if (!item) return
    this.cursor = Math.max(item.first, Math.min(item.last, chunk))
    if (how === "more" && this.several) {
      const [low, high] = [Math.min(this.anchor, this.cursor), Math.max(this.anchor, this.cursor)]
      this.selection = new Set(this.items.filter(({ first, last }) => last >= low && first <= high).map(({ id }) => id))
    } else {
      const besides = how === "toggle" && this.several
      if (!besides) this.selection.clear()
      if (besides && this.selection.has(item.id)) this.selection.delete(item.id)
      else this.selection.add(item.id)
      this.anchor = this.cursor
    }
    this.#mark()
    this.hands.selected?.()
  }

  /** @param {readonly Item["id"][]} ids */
  select(ids) {
    this.selection = new Set(ids)
    const [item] = this.selected
    if (item) this.cursor = this.anchor = item.first
    this.#mark()
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

  /**
   * @param {number} pixels of a chunk
   * @param {number} [around] chunk that stays where it is
   */
  setChunkWidth(pixels, around = this.cursor) {
    const seen = this.left(around) - this.scroller.scrollLeft
    this.chunkWidth = Math.max(NARROWEST, Math.min(WIDEST, pixels))
    this.draw()
    this.scroller.scrollLeft = this.left(around) - seen
    this.#see(true)
  }

  /** Let everything be seen at once, where that is possible. */
  fit() {
    this.setChunkWidth((this.width - TAIL) / Math.max(1, this.end - this.first), this.first)
  }

  // Drawing -----------------------------------------------------------------------------------------------------------

  /** Draw what has come in sight with the next frame. */
  #soon() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0
      this.#see(false)
    })
  }

  /** @param {boolean} all cells that are there already are drawn again */
  #see(all) {
    const { scrollLeft } = this.scroller
    const from = this.first + (scrollLeft - MARGIN) / this.chunkWidth
    const to = this.first + (scrollLeft + this.width + MARGIN) / this.chunkWidth
    this.lanes.forEach((lane, i) => this.#seeLane(lane, i, from, to, all))
    this.#seeRuler(Math.max(this.first, from), to, all)
  }

  /**
   * @param {Lane} lane
   * @param {number} number
   * @param {number} from chunks
   * @param {number} to
   * @param {boolean} all
   */
  #seeLane(lane, number, from, to, all) {
    const cells = /** @type {Map<Item["id"], HTMLElement>} */ (this.drawn[number])
    const items = lane.items()
    const row = /** @type {HTMLElement} */ (this.rows[number])
    const seen = new Set()
    let previous = /** @type {HTMLElement | null} */ (null)
    for (let i = Math.max(0, at(items, from)); i < items.length; i++) {
      const item = /** @type {Item} */ (items[i])
      if (item.first > to) break
      seen.add(item.id)
      const before = cells.get(item.id)
      const cell = before ?? this.#cell(lane, number, item)
      if (!before || all) {
        this.#put(cell, item, i, items.length)
        lane.draw(cell, item)
        if (lane.say) cell.setAttribute("aria-label", lane.say(item))
        // In order of time also for who hears the page.
        /** @type {ChildNode | null} */
        const follows = previous ? previous.nextSibling : row.firstChild
        if (cell !== follows) row.insertBefore(cell, follows)
      }
      previous = cell
    }
    const held = number ? undefined : this.focused?.id // the keyboard's cell stays, for who reads the screen
    for (const [id, cell] of cells) {
      if (seen.has(id) || (id === held && items.some((item) => item.id === id))) continue
      lane.leave?.(cell)
      cell.remove()
      cells.delete(id)
    }
  }

  /**
   * @param {Lane} lane
   * @param {number} number
   * @param {Item} item
   */
  #cell(lane, number, item) {
    const cell = make("div", `magi-slot magi-lane-${lane.name}`)
    if (!number) {
      cell.id = `magi-strip-${this.number}-${item.id}`
      cell.setAttribute("role", "option")
      cell.classList.toggle("magi-selected", this.selection.has(item.id))
      cell.setAttribute("aria-selected", String(this.selection.has(item.id)))
    }
    this.drawn[number]?.set(item.id, cell)
    return cell
  }

  /**
   * @param {HTMLElement} cell
   * @param {Item} item
   * @param {number} position
   * @param {number} count
   */
  #put(cell, { first, last }, position, count) {
    cell.style.transform = `translateX(${this.left(first)}px)`
    cell.style.width = `${(last - first + 1) * this.chunkWidth}px`
    cell.setAttribute("aria-posinset", String(position + 1))
    cell.setAttribute("aria-setsize", String(count))
  }

  /**
   * @param {number} from chunks
   * @param {number} to
   * @param {boolean} all
   */
  #seeRuler(from, to, all) {
    const step = STEPS.find((chunks) => chunks * this.chunkWidth >= LABEL) ?? 12000
    const seen = new Set()
    for (let chunk = Math.ceil(from / step) * step; chunk <= Math.min(to, this.end); chunk += step) {
      seen.add(chunk)
      const before = this.ticks.get(chunk)
      if (before && !all) continue
      const tick = before ?? make("div", "magi-tick")
      tick.style.transform = `translateX(${this.left(chunk)}px)`
      const time = Object.assign(make("span", "magi-time"), { textContent: clock((chunk * FRAMES) / this.fps) })
      tick.replaceChildren(chunk < this.end ? String(chunk) : "", time)
      if (!before) this.ruler.append(tick)
      this.ticks.set(chunk, tick)
    }
    for (const [chunk, tick] of this.ticks) {
      if (seen.has(chunk)) continue
      tick.remove()
      this.ticks.delete(chunk)
    }
  }

  /** Show what is selected, and where the cursor is. */
  #mark() {
    const focused = this.focused
    for (const [id, cell] of this.drawn[0] ?? []) {
      cell.classList.toggle("magi-selected", this.selection.has(id))
      cell.classList.toggle("magi-focused", id === focused?.id)
      cell.setAttribute("aria-selected", String(this.selection.has(id)))
    }
    if (focused) this.keys.setAttribute("aria-activedescendant", `magi-strip-${this.number}-${focused.id}`)
    else this.keys.removeAttribute("aria-activedescendant")
    this.playhead.hidden = !focused
    this.playhead.style.transform = `translateX(${this.left(this.cursor)}px)`
    this.playhead.style.width = `${this.chunkWidth}px`
  }

  // Hands -------------------------------------------------------------------------------------------------------------

  /** @param {PointerEvent} event */
  #press(event) {
    if (event.button === 1) return // the middle button moves ComfyUI's canvas
    if (/** @type {HTMLElement} */ (event.target).closest("textarea, button, input")) return
    event.preventDefault() // the keyboard stays with the strip
    this.focus()
    if (event.button !== 0) return
    const chunk = this.chunkAt(event)
    const item = this.itemUnder(event) ?? this.items[at(this.items, chunk)]
    if (!item) return
    // What is selected already stays so until the button is let go: it may be dragged.
    if (event.shiftKey) this.go(chunk, item, "more")
    else if (event.ctrlKey || event.metaKey) this.go(chunk, item, "toggle")
    else if (this.selection.has(item.id) && this.selection.size > 1) this.cursor = chunk
    else this.go(chunk, item)
    this.#mark()
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (this.#move(event) || this.#do(event) || this.hands.key?.(event)) {
      event.preventDefault()
      event.stopPropagation()
    } else if (!event.ctrlKey && !event.metaKey && event.key !== "Tab") event.stopPropagation()
  }

  /**
   * Keys that go somewhere.
   * @param {KeyboardEvent} event
   */
  #move({ key, shiftKey, ctrlKey, metaKey, altKey }) {
    if (altKey) return false
    const items = this.items
    const now = at(items, this.cursor)
    const how = shiftKey ? "more" : "only"
    if (ctrlKey || metaKey) {
      if (key.toLowerCase() !== "a" || shiftKey || !this.several) return false
      this.select(items.map(({ id }) => id))
      return true
    }
    /** @type {Record<string, number>} */
    const steps = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: items.length - 1 }
    if (key in steps) {
      const item = items[Math.max(0, Math.min(items.length - 1, steps[key] ?? 0))]
      if (item) this.go(item.first, item, how)
    } else if (key === "," || key === ".") {
      this.go(Math.max(this.first, Math.min(this.end - 1, this.cursor + (key === "," ? -1 : 1))))
    } else return false
    this.reveal(this.cursor)
    this.#see(false)
    this.#mark()
    return true
  }

  /**
   * Keys that do something.
   * @param {KeyboardEvent} event
   */
  #do({ key, shiftKey, ctrlKey, metaKey, altKey }) {
    if (ctrlKey || metaKey || altKey) return false
    const item = this.focused
    if (key === "Enter" && !shiftKey && this.hands.open) {
      if (item) this.hands.open(item)
    } else if (key === " " && this.hands.play) this.hands.play()
    else if ((key === "ContextMenu" || (key === "F10" && shiftKey)) && this.hands.menu) {
      const box = item && this.cellOf(item.id)?.getBoundingClientRect()
      if (item && box) this.hands.menu(item, Math.max(box.left, this.scroller.getBoundingClientRect().left), box.bottom)
    } else return false
    return true
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    const zooms = event.ctrlKey || event.metaKey
    const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)
    const room = this.scroller.scrollWidth > this.scroller.clientWidth
    if (zooms || !room || !(sideways || this.element.contains(document.activeElement))) return
    event.preventDefault()
    event.stopPropagation()
    this.scroller.scrollLeft += event.deltaX || event.deltaY
  }

  /** Let go of everything. */
  remove() {
    this.sizes.disconnect()
    cancelAnimationFrame(this.frame)
    this.lanes.forEach(({ leave }, i) => this.drawn[i]?.forEach((cell) => leave?.(cell)))
    this.element.remove()
  }
}

/**
 * Index of the item that holds a place, or of the last one before it.
 * @param {readonly Item[]} items
 * @param {number} place chunks
 */
export function at(items, place) {
  let [low, high] = [0, items.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (/** @type {Item} */ (items[middle]).first <= place) low = middle + 1
    else high = middle
  }
  return Math.max(0, low - 1)
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} classes
 */
function make(tag, classes) {
  const element = document.createElement(tag)
  element.className = classes
  return element
}

/**
 * @param {HTMLElement} element
 * @param {Record<string, string>} attributes
 */
function say(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
}

/**
 * Time as "4s", "4.5s" or "1:05".
 * @param {number} seconds
 */
export function clock(seconds) {
  const tenths = Math.round(seconds * 10) / 10
  if (tenths < 60) return words("seconds", { n: tenths })
  const rest = Math.round((tenths % 60) * 10) / 10
  return `${Math.floor(tenths / 60)}:${rest < 10 ? "0" : ""}${rest}`
}
