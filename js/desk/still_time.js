// The time of a chunk that has a still alone: it passes as that of a clip would, and can be halted. No DOM.

const TICK = 100 // milliseconds

export class StillTime {
  #length = 0
  #before = 0 // seconds that had passed when it was halted last
  #since = 0 // when it went on, in milliseconds
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer

  /**
   * @param {object} tells
   * @param {() => void} tells.passes now and then while it goes on
   * @param {() => void} tells.over the chunk is through
   * @param {() => number} [now] a clock, in milliseconds
   */
  constructor({ passes, over }, now = () => performance.now()) {
    this.passes = passes
    this.over = over
    this.now = now
  }

  get halted() {
    return this.#timer === undefined
  }

  /** Seconds of the chunk that have passed. */
  get seconds() {
    const now = this.halted ? 0 : (this.now() - this.#since) / 1000
    return Math.min(this.#length, this.#before + now)
  }

  /**
   * Another chunk, halted.
   * @param {number} length in seconds
   * @param {number} [at] seconds of it that have passed
   */
  begin(length, at = 0) {
    this.halt()
    this.#length = length
    this.#before = at
  }

  goOn() {
    if (!this.halted) return
    this.#since = this.now()
    this.#wait()
  }

  halt() {
    this.#before = this.seconds
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #tick() {
    if (this.seconds >= this.#length) {
      this.halt()
      return this.over()
    }
    this.#wait()
    this.passes()
  }

  #wait() {
    this.#timer = setTimeout(() => this.#tick(), TICK)
  }
}
