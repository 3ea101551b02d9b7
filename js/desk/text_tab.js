// The Text tab: the storyboard as it is typed, with the numbers of its lines and a mark where one is wrong.
import { part } from "./parts.js"
import { words } from "./story_words.js"

/** @typedef {import("../magi/api.js").Mistake} Mistake */

const MOST_LINES = 3000 // of a longer text the numbers are not shown

export class TextTab {
  /**
   * @param {object} hands
   * @param {(text: string) => void} hands.typed
   * @param {() => void} hands.left the text is done with, for now
   */
  constructor({ typed, left }) {
    this.mirror = part("div", "magi-mirror", { "aria-hidden": "true" })
    this.field = part("textarea", "magi-text", { spellcheck: "false", "aria-label": words("storyboard"), rows: "1" })
    this.mistakes = part("div", "magi-mistakes", { role: "alert", id: `magi-mistakes-${Math.random()}` })
    this.field.setAttribute("aria-describedby", this.mistakes.id)
    const page = part("div", "magi-page", {}, this.mirror, this.field)
    this.scroller = part("div", "magi-pages", { "data-capture-wheel": "true" }, page)
    this.element = part("div", "magi-text-tab", { role: "tabpanel", "aria-label": words("text") }, this.scroller, this.mistakes)
    /** @type {readonly Mistake[]} */
    this.wrong = []
    this.field.addEventListener("input", () => {
      this.#draw()
      typed(this.field.value)
    })
    this.field.addEventListener("change", left)
  }

  /** @param {string} text */
  show(text) {
    if (this.field.value === text) return
    this.field.value = text
    this.#draw()
  }

  /** @param {readonly Mistake[]} wrong */
  mark(wrong) {
    this.wrong = wrong
    this.field.setAttribute("aria-invalid", String(wrong.length > 0))
    this.mistakes.hidden = !wrong.length
    this.mistakes.replaceChildren(...wrong.map((each) => this.#mistake(each)))
    this.#draw()
  }

  /** @param {boolean} only */
  setReadOnly(only) {
    this.field.readOnly = only
  }

  /** @param {Mistake} mistake */
  #mistake({ line, message }) {
    const text = line === null || message.startsWith(`line ${line}`) ? message : words("at_line", { line, message })
    const button = part("button", "magi-mistake", { type: "button", text })
    button.addEventListener("click", () => this.go(line ?? 1))
    return button
  }

  /**
   * Put the caret on a line, from 1.
   * @param {number} line
   */
  go(line) {
    const lines = this.field.value.split("\n")
    const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0)
    this.field.focus()
    this.field.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0))
    this.mirror.children[line - 1]?.scrollIntoView({ block: "nearest" })
  }

  #draw() {
    const lines = this.field.value.split("\n")
    const shown = lines.length > MOST_LINES ? [] : lines
    const messages = new Map(this.wrong.map(({ line, message }) => [line, message]))
    while (this.mirror.children.length > shown.length) this.mirror.lastChild?.remove()
    while (this.mirror.children.length < shown.length) this.mirror.append(part("div", "magi-text-line"))
    shown.forEach((text, i) => {
      const line = /** @type {HTMLElement} */ (this.mirror.children[i])
      if (line.textContent !== `${text}\u200b`) line.textContent = `${text}\u200b`
      line.classList.toggle("magi-wrong-line", messages.has(i + 1))
    })
    this.element.classList.toggle("magi-unnumbered", !shown.length)
  }
}
