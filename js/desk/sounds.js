// Sounds that are heard with videos: each is asked for once, when it is needed first. No DOM.

/** @typedef {import("../magi/api.js").Sound} Sound */

const MOST = 20 // that are remembered

export class Sounds {
  /** null: asked for, or not there. @type {Map<string, Sound | null>} */
  #known = new Map()

  /**
   * @param {(key: string) => Promise<Sound | null>} ask null: the server has none
   * @param {() => void} came there is another one
   */
  constructor(ask, came) {
    this.ask = ask
    this.came = came
  }

  /**
   * The sound, where it is here already; otherwise it is asked for.
   * @param {string} key
   * @returns {Sound | undefined}
   */
  get(key) {
    if (!this.#known.has(key)) void this.#fetch(key)
    return this.#known.get(key) ?? undefined
  }

  /** What was not there may be there now: it is asked for again when it is needed. */
  again() {
    for (const [key, sound] of this.#known) if (!sound) this.#known.delete(key)
  }

  /** @param {string} key */
  async #fetch(key) {
    this.#known.set(key, null)
    if (this.#known.size > MOST) this.#known.delete(/** @type {string} */ (this.#known.keys().next().value))
    const sound = await this.ask(key)
    if (!sound) return
    this.#known.set(key, sound)
    this.came()
  }
}
