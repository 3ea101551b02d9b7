// Keeps the text and the story one: the text is the truth, and Python alone reads and writes it. No DOM.
//
// Of several edits the newest wins, in both directions; what comes too late is dropped.

/** @typedef {import("../magi/api.js").Line} Line */
/** @typedef {import("../magi/api.js").Read} Read */

const PAUSE = 200 // milliseconds without a keystroke until a text is read

/**
 * @typedef {object} Host
 * @property {(text: string) => Promise<Read>} read
 * @property {(lines: readonly Line[], form: string) => Promise<string>} write
 * @property {(text: string) => void} setText the story was written
 * @property {(read: Read) => void} wasRead a text was read, or could not be
 * @property {(failure: string) => void} failed "": it goes well again
 */

export class TextSync {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #pause
  #turn = 0
  #form = "text"
  /** @type {readonly Line[] | undefined} lines that wait to be written */
  #waiting
  /** @type {Promise<void>} */
  #writing = Promise.resolve()

  /** @param {Host} host */
  constructor(host) {
    this.host = host
  }

  /**
   * Read a text: now, or when nobody types for a moment.
   * @param {string} text
   * @param {{ soon?: boolean }} [when]
   */
  read(text, { soon = false } = {}) {
    const turn = ++this.#turn
    this.#waiting = undefined
    clearTimeout(this.#pause)
    if (soon) this.#pause = setTimeout(() => this.#read(text, turn), PAUSE)
    else void this.#read(text, turn)
  }

  /**
   * @param {string} text
   * @param {number} turn
   */
  async #read(text, turn) {
    try {
      const read = await this.host.read(text)
      if (turn !== this.#turn) return
      if (read.lines) this.#form = read.form ?? "text"
      this.host.failed("")
      this.host.wasRead(read)
    } catch (error) {
      if (turn === this.#turn) this.host.failed(sentence(error))
    }
  }

  /**
   * Have these lines written. One at a time is: of those that come meanwhile, the newest.
   * @param {readonly Line[]} lines
   */
  write(lines) {
    ++this.#turn
    clearTimeout(this.#pause)
    const idle = !this.#waiting
    this.#waiting = lines
    if (idle) this.#writing = this.#writing.then(() => this.#write())
  }

  async #write() {
    const lines = this.#waiting
    if (!lines) return // a text was typed since
    const turn = this.#turn
    this.#waiting = undefined
    try {
      const text = await this.host.write(lines, this.#form)
      if (turn !== this.#turn) return
      this.host.failed("")
      this.host.setText(text)
    } catch (error) {
      if (turn === this.#turn) this.host.failed(sentence(error))
    }
  }

  /** Until what was edited is in the text, or cannot get there. */
  async settled() {
    let seen
    do {
      seen = this.#writing
      await seen
    } while (seen !== this.#writing)
  }
}

/** @param {unknown} error */
function sentence(error) {
  return error instanceof Error ? error.message : String(error)
}
