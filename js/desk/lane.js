// One lane of a strip: a row of cells that are on the page only where they are seen. What a cell shows is the lane's own.
import { part } from "./parts.js"

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
 * @property {boolean} [hides] its row is there only while it has items
 * @property {(item: T) => string} [say] the item in words, for a screen reader
 */

export class LaneView {
  /** @type {Map<Item["id"], HTMLElement>} cells in sight */
  cells = new Map()

  /**
   * @param {Lane} lane
   * @param {string} listbox id of the list whose options its cells are; "": they are decoration to who hears the page
   */
  constructor(lane, listbox) {
    this.lane = lane
    this.listbox = listbox
    const role = listbox ? { role: "presentation" } : { "aria-hidden": "true" }
    this.row = part("div", `magi-row magi-row-${lane.name}`, role)
  }

  /**
   * @param {import("./strip.js").Strip} strip
   * @param {number} from chunks in sight
   * @param {number} to
   * @param {boolean} all cells that are there already are drawn again
   */
  draw(strip, from, to, all) {
    const { lane, row, cells } = this
    const items = lane.items()
    if (lane.hides) row.hidden = !items.length
    const seen = new Set()
    let previous = /** @type {HTMLElement | null} */ (null)
    for (let i = Math.max(0, at(items, from)); i < items.length; i++) {
      const item = /** @type {Item} */ (items[i])
      if (item.first > to) break
      seen.add(item.id)
      const before = cells.get(item.id)
      const cell = before ?? this.#make(strip, item)
      if (!before || all) {
        this.#put(strip, cell, i, items)
        /** @type {ChildNode | null} */
        const follows = previous ? previous.nextSibling : row.firstChild
        if (cell !== follows) row.insertBefore(cell, follows) // in order of time also for who hears the page
      }
      previous = cell
    }
    // The keyboard's cell stays, for who reads the screen.
    const held = this.listbox ? strip.focused?.id : undefined
    for (const [id, cell] of cells) {
      if (!seen.has(id) && (id !== held || !items.some((item) => item.id === id))) this.#drop(id, cell)
    }
  }

  /**
   * @param {import("./strip.js").Strip} strip
   * @param {Item} item
   */
  #make(strip, { id }) {
    const cell = part("div", `magi-slot magi-lane-${this.lane.name}`)
    if (this.listbox) {
      cell.id = `${this.listbox}-${id}`
      cell.setAttribute("role", "option")
      cell.classList.toggle("magi-selected", strip.selection.ids.has(id))
      cell.setAttribute("aria-selected", String(strip.selection.ids.has(id)))
    }
    this.cells.set(id, cell)
    return cell
  }

  /**
   * @param {import("./strip.js").Strip} strip
   * @param {HTMLElement} cell
   * @param {number} position
   * @param {readonly Item[]} items
   */
  #put(strip, cell, position, items) {
    const item = /** @type {Item} */ (items[position])
    cell.style.transform = `translateX(${strip.left(item.first)}px)`
    cell.style.width = `${(item.last - item.first + 1) * strip.chunkWidth}px`
    cell.setAttribute("aria-posinset", String(position + 1))
    cell.setAttribute("aria-setsize", String(items.length))
    this.lane.draw(cell, item)
    if (this.lane.say) cell.setAttribute("aria-label", this.lane.say(item))
  }

  /**
   * @param {Item["id"]} id
   * @param {HTMLElement} cell
   */
  #drop(id, cell) {
    this.lane.leave?.(cell)
    cell.remove()
    this.cells.delete(id)
  }

  /** Let go of what the cells hold. */
  release() {
    for (const cell of this.cells.values()) this.lane.leave?.(cell)
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
