// Stills and clips by content key, whoever made them. No DOM.

const MOST = 2000 // of each: those not asked for the longest time make room

/**
 * A picture of a chunk.
 * @typedef {object} Still
 * @property {number} t how clean it is; 1: the chunk is finished
 * @property {string} jpeg base64; "": the server has it (`stillAddress` of api.js)
 */

export class Pictures {
  /** @type {Map<string, Still>} */
  stills = new Map()
  /** Names of temporary files. @type {Map<string, string>} */
  clips = new Map()

  /**
   * A chunk that is made again looks as it did, until it is as far.
   * @param {string} key
   * @param {Still} still
   */
  addStill(key, still) {
    const before = this.stills.get(key)
    if (!before || before.t <= still.t) remember(this.stills, key, still)
  }

  /**
   * The server has a still.
   * @param {string} key
   * @param {number} t
   */
  foundStill(key, t) {
    if (!this.stills.has(key)) this.addStill(key, { t, jpeg: "" })
  }

  /**
   * @param {string} key
   * @param {string} filename
   */
  addClip(key, filename) {
    remember(this.clips, key, filename)
  }

  /**
   * Whether a chunk was finished, and can be seen.
   * @param {string} key
   */
  isMade(key) {
    return this.clips.has(key) || (this.stills.get(key)?.t ?? 0) >= 1
  }
}

/**
 * @template T
 * @param {Map<string, T>} map
 * @param {string} key
 * @param {T} value
 */
function remember(map, key, value) {
  map.delete(key)
  map.set(key, value)
  if (map.size > MOST) map.delete(/** @type {string} */ (map.keys().next().value))
}
