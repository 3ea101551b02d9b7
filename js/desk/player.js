// One chunk large, with its words, or the whole strip in order.
import { stillAddress, temporaryFile } from "../magi/api.js"
import { useStyles } from "../magi/style.js"
import { describe } from "./cell.js"
import { say } from "./words.js"

/** @typedef {import("./cell_state.js").Cell} Cell */

/**
 * What is played.
 * @typedef {object} Programme
 * @property {string} title of the node
 * @property {() => readonly Cell[]} cells as they are at the moment: a run may go on meanwhile
 * @property {number} fps
 */

/** @type {Player | undefined} */
let player

/**
 * Play one chunk again and again, or, with `all`, from it to the end.
 * @param {Programme} programme
 * @param {number} index the chunk's place in the video
 * @param {{ all?: boolean }} [how]
 */
export function play(programme, index, { all = false } = {}) {
  player ??= new Player()
  player.open(programme, index, all)
}

/** Show what has become of the chunks that are being played. */
export function refreshPlayer() {
  player?.refresh()
}

class Player {
  /** @type {Programme | undefined} */
  #programme
  #index = 0
  #all = false
  #shown = "" // key and clip, so that nothing begins anew for what has not changed
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #wait

  constructor() {
    useStyles(new URL("./player.css", import.meta.url).href)
    this.dialog = Object.assign(document.createElement("dialog"), { className: "magi-player" })
    this.dialog.ariaLabel = say("player")
    this.title = element("h2", "magi-player-title")
    this.stage = element("div", "magi-player-stage")
    this.still = /** @type {HTMLImageElement} */ (element("img", ""))
    this.still.alt = ""
    this.video = /** @type {HTMLVideoElement} */ (element("video", ""))
    Object.assign(this.video, { muted: true, playsInline: true, preload: "auto" })
    this.next = /** @type {HTMLVideoElement} */ (element("video", "")) // fetched while this one plays
    Object.assign(this.next, { muted: true, preload: "auto", hidden: true })
    this.stage.append(this.still, this.video, this.next)
    this.state = element("p", "magi-player-state")
    this.state.ariaLive = "polite"
    this.words = element("p", "magi-player-words")
    this.back = button(say("previous"), "‹", () => this.#go(-1))
    this.everything = button(say("play all"), say("play all"), () => this.#playAll())
    this.forth = button(say("next"), "›", () => this.#go(1))
    const buttons = element("div", "magi-player-buttons")
    buttons.append(this.back, this.everything, this.forth, button(say("close"), say("close"), () => this.dialog.close()))
    this.dialog.append(this.title, this.stage, this.state, this.words, buttons)
    this.#listen()
    document.body.append(this.dialog)
  }

  /**
   * @param {Programme} programme
   * @param {number} index
   * @param {boolean} all
   */
  open(programme, index, all) {
    this.#programme = programme
    this.#all = all
    this.#shown = ""
    if (!this.dialog.open) this.dialog.showModal()
    this.#show(index)
  }

  refresh() {
    if (this.dialog.open) this.#show(this.#index)
  }

  /** @param {number} index */
  #show(index) {
    const { title, cells, fps } = /** @type {Programme} */ (this.#programme)
    const all = cells()
    const place = all.findIndex((cell) => cell.index === index)
    const cell = all[place]
    this.back.disabled = place <= 0
    this.forth.disabled = place < 0 || place >= all.length - 1
    if (!cell) return void this.dialog.close()
    this.#index = index
    const seconds = 24 / fps
    this.title.textContent = `${title} · ${(index * seconds).toFixed(1)}–${((index + 1) * seconds).toFixed(1)} s`
    this.state.textContent = cell.clip ? describe(cell) : `${describe(cell)}. ${say("nothing to play")}`
    this.words.textContent = cell.words
    this.everything.ariaPressed = String(this.#all)
    this.#put(cell)
    this.#prepare(all[place + 1])
  }

  /** @param {Cell} cell */
  #put({ key, clip, still }) {
    const shown = `${key} ${clip} ${still?.t}`
    this.video.loop = !this.#all
    if (shown === this.#shown) return
    this.#shown = shown
    clearTimeout(this.#wait)
    const picture = !still ? "" : still.jpeg ? `data:image/jpeg;base64,${still.jpeg}` : stillAddress(key)
    this.still.hidden = !picture || clip !== ""
    if (picture) this.still.src = picture
    else this.still.removeAttribute("src")
    this.video.hidden = !clip
    if (clip) {
      this.video.poster = picture
      this.video.src = temporaryFile(clip)
      void this.video.play().catch(() => {}) // forbidden: its controls are there
    } else {
      this.video.removeAttribute("src")
      if (this.#all) this.#wait = setTimeout(() => this.#go(1), STILL_LASTS)
    }
  }

  /** @param {Cell | undefined} cell */
  #prepare(cell) {
    if (this.#all && cell?.clip) this.next.src = temporaryFile(cell.clip)
    else this.next.removeAttribute("src")
  }

  /** @param {number} by */
  #go(by) {
    const { cells } = /** @type {Programme} */ (this.#programme)
    const all = cells()
    const cell = all[all.findIndex(({ index }) => index === this.#index) + by]
    if (cell) return this.#show(cell.index)
    this.#all = false
    this.refresh()
  }

  #playAll() {
    this.#all = !this.#all
    this.#shown = ""
    this.refresh()
  }

  #listen() {
    this.video.addEventListener("ended", () => this.#go(1))
    this.video.addEventListener("click", () => this.#pause())
    this.dialog.addEventListener("click", ({ target }) => target === this.dialog && this.dialog.close())
    this.dialog.addEventListener("close", () => {
      clearTimeout(this.#wait)
      for (const video of [this.video, this.next]) {
        video.removeAttribute("src")
        video.load()
      }
      this.#shown = ""
    })
    this.dialog.addEventListener("keydown", (event) => {
      event.stopPropagation() // ComfyUI has keys of its own
      if (event.key === "ArrowLeft") this.#go(-1)
      else if (event.key === "ArrowRight") this.#go(1)
      else if (event.key === " " && !(event.target instanceof HTMLButtonElement)) this.#pause()
      else return
      event.preventDefault()
    })
  }

  #pause() {
    if (this.video.paused) void this.video.play().catch(() => {})
    else this.video.pause()
  }
}

const STILL_LASTS = 1000 // milliseconds; of a chunk without a clip, while everything is played

/**
 * @param {string} name
 * @param {string} className
 */
function element(name, className) {
  return Object.assign(document.createElement(name), { className })
}

/**
 * @param {string} label
 * @param {string} text
 * @param {() => void} press
 */
function button(label, text, press) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: text, title: label })
  made.ariaLabel = label
  made.addEventListener("click", press)
  return made
}
