// The strip of a node that samples: a line, then its cells.
import { useStyles } from "../magi/style.js"
import { CellView } from "./cell.js"
import { cells, heardOf, shownWorkflow } from "./live.js"
import { play } from "./player.js"
import { lineOf } from "./run_line.js"
import { Strip } from "./strip.js"
import { waveLane } from "./wave_lane.js"
import { say } from "./words.js"

/** @typedef {import("./cell_state.js").Cell} Cell */
/** @typedef {import("./node_state.js").Summary} Summary */

export const STRIP_HEIGHT = 148 // pixels
const LEAST = 52 // of a chunk, so that all are seen at once

export class SamplingStrip {
  id = ""
  /** @type {Cell[]} */
  #cells = []
  /** @type {Map<HTMLElement, CellView>} */
  #views = new Map()

  /** @param {ComfyUI.Node} node */
  constructor(node) {
    useStyles(new URL("./sampling.css", import.meta.url).href)
    this.node = node
    this.strip = new Strip({
      label: say("strip", { node: node.title ?? "" }),
      lanes: [{ name: "chunks", items: () => this.#items, draw: this.#draw, leave: this.#leave }, this.#wave()],
      hands: { open: ({ first }) => this.#play(first), play: () => this.#play(this.strip.first, true) },
      least: LEAST,
      tail: 0,
      several: false,
    })
    this.line = Object.assign(document.createElement("div"), { className: "magi-line" })
    this.element = Object.assign(document.createElement("div"), { className: "magi-desk magi-sampling" })
    this.element.append(this.line, this.strip.element)
    Object.assign(this.element.style, { height: `${STRIP_HEIGHT}px`, flex: "none" }) // Nodes 2.0 would shrink it
  }

  /** @type {{ id: number, first: number, last: number }[]} */
  #items = []

  /**
   * @param {string} id
   * @param {Cell[]} list
   * @param {Summary} summary
   */
  show(id, list, summary) {
    const other = id !== this.id
    this.id = id
    this.#cells = list
    this.#items = list.map(({ index }) => ({ id: index, first: index, last: index }))
    this.strip.first = summary.first
    this.strip.fps = summary.fps
    this.line.title = summary.sentence
    this.tell(summary)
    this.element.dataset.status = summary.status
    this.strip.draw()
    if (!other && summary.status === "running") this.#follow()
  }

  /** How the run goes. */
  tell(summary = cells.summaryOf(shownWorkflow(), this.id)) {
    if (summary) this.line.textContent = lineOf(summary)
  }

  /** @returns {import("./lane.js").Lane} */
  #wave() {
    return waveLane({
      heard: () => heardOf(shownWorkflow(), this.id),
      first: () => this.strip.first,
      end: () => this.strip.end,
      offset: () => 0,
      fps: () => this.strip.fps,
    })
  }

  remove() {
    this.strip.remove()
    this.element.remove()
  }

  /** @param {number} index */
  #cell(index) {
    return this.#cells[index - (this.#cells[0]?.index ?? 0)]
  }

  /** @param {HTMLElement} slot @param {{ first: number }} item */
  #draw = (slot, { first }) => {
    const cell = this.#cell(first)
    if (!cell) return
    let view = this.#views.get(slot)
    if (!view) {
      view = new CellView({ onGone: (key) => cells.gone(key) })
      view.element.addEventListener("click", () => this.#play(Number(view?.element.dataset.index)))
      this.#views.set(slot, view)
      slot.append(view.element)
    }
    view.show(cell)
    slot.ariaLabel = view.element.ariaLabel
  }

  /** @param {HTMLElement} slot */
  #leave = (slot) => {
    this.#views.get(slot)?.release()
    this.#views.delete(slot)
  }

  /** @param {number} index @param {boolean} [all] */
  #play(index, all = false) {
    const { id } = this
    const workflow = shownWorkflow()
    const fps = cells.summaryOf(workflow, id)?.fps ?? 24
    const programme = { title: this.node.title ?? "", cells: () => cells.cellsOf(workflow, id), fps }
    play({ ...programme, sound: () => heardOf(workflow, id) }, index, { all })
  }

  /** Keep what is in the works in sight, unless somebody is at the strip. */
  #follow() {
    const flying = this.#cells.filter(({ state }) => state === "denoising").at(-1)
    if (flying && !this.element.matches(":hover, :focus-within")) this.strip.reveal(flying.index)
  }
}
