// What is selected on a strip, and where its cursor is. No DOM.

/** @typedef {import("./lane.js").Item} Item */

export class Selection {
  /** @type {Set<Item["id"]>} */
  ids = new Set()
  #anchor // chunk where a selection of several began

  /**
   * @param {number} cursor chunk that the playhead is at
   * @param {boolean} several whether several items can be selected at once
   */
  constructor(cursor, several) {
    this.cursor = this.#anchor = cursor
    this.several = several
  }

  /**
   * Put the cursor on a chunk of an item.
   * @param {readonly Item[]} items
   * @param {Item} item
   * @param {number} chunk
   * @param {"only" | "more" | "toggle"} how alone, all from where the selection began, or besides
   */
  go(items, item, chunk, how) {
    this.cursor = Math.max(item.first, Math.min(item.last, chunk))
    if (how === "more" && this.several) {
      const [low, high] = [Math.min(this.#anchor, this.cursor), Math.max(this.#anchor, this.cursor)]
      this.ids = new Set(items.filter(({ first, last }) => last >= low && first <= high).map(({ id }) => id))
      return
    }
    const besides = how === "toggle" && this.several
    const had = besides && this.ids.has(item.id)
    this.ids = new Set([...(besides ? this.ids : []), item.id])
    if (had) this.ids.delete(item.id)
    this.#anchor = this.cursor
  }

  /**
   * @param {readonly Item["id"][]} ids
   * @param {readonly Item[]} items the cursor goes to the first of them
   */
  select(ids, items) {
    this.ids = new Set(ids)
    const item = items.find(({ id }) => this.ids.has(id))
    if (item) this.cursor = this.#anchor = item.first
  }

  /**
   * Forget what is not there any more.
   * @param {readonly Item[]} items
   * @param {number} first chunk
   * @param {number} end
   */
  keep(items, first, end) {
    const known = new Set(items.map(({ id }) => id))
    for (const id of this.ids) if (!known.has(id)) this.ids.delete(id)
    this.cursor = Math.max(first, Math.min(this.cursor, end - 1))
  }
}
