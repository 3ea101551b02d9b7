// The chunks under the lines: what a node that samples has made, or will make, of this storyboard.
import { CellView } from "./cell.js"

/** @typedef {import("./cell_state.js").Cell} Cell */

/**
 * @param {object} hands
 * @param {() => readonly Cell[]} hands.cells in order of time; the same array until something changes
 * @param {(index: number) => void} hands.play
 * @param {(key: string) => void} hands.gone
 * @returns {import("./strip.js").Lane<{ id: number, first: number, last: number, cell: Cell }>}
 */
export function chunkLane({ cells, play, gone }) {
  /** @type {Map<HTMLElement, CellView>} */
  const views = new Map()
  /** @type {readonly Cell[]} */
  let known = []
  /** @type {{ id: number, first: number, last: number, cell: Cell }[]} */
  let items = []
  return {
    name: "chunks",
    items() {
      const now = cells()
      if (now !== known) [known, items] = [now, now.map((cell, i) => ({ id: i, first: i, last: i, cell }))]
      return items
    },
    draw(slot, { cell }) {
      let view = views.get(slot)
      if (!view) {
        view = new CellView({ onGone: gone })
        const { element } = view
        element.addEventListener("click", () => play(Number(element.dataset.index)))
        views.set(slot, view)
        slot.append(element)
      }
      view.show(cell)
    },
    leave(slot) {
      views.get(slot)?.release()
      views.delete(slot)
    },
  }
}
