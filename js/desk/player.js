// One chunk large, with its words, or the whole strip in order.
import { useStyles } from "../magi/style.js"
import { describe } from "./cell.js"
import { part } from "./parts.js"
import { PlayerScreen } from "./player_screen.js"
import { say } from "./words.js"

/** @typedef {import("./cell_state.js").Cell} Cell */

/**
 * What is played.
 * @typedef {object} Programme
 * @property {string} title of the node
 * @property {() => readonly Cell[]} cells as they are at the moment: a run may go on meanwhile
 * @property {number} fps
 * @property {() => { address: string, start: number } | undefined} sound that is heard with it, and the second at which it begins
 */

const FRAMES = 24 // of a chunk

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

  constructor() {
    useStyles(new URL("./player.css", import.meta.url).href)
    this.dialog = part("dialog", "magi-player", { "aria-label": say("player") })
    this.title = part("h2", "magi-player-title")
    this.screen = new PlayerScreen({
      over: () => this.#go(1),
      passes: () => this.#tellTime(this.#index * this.#length + this.screen.seconds),
      turned: () => this.#tellWhetherItPlays(),
    })
    this.state = part("p", "magi-player-state", { "aria-live": "polite" })
    this.words = part("p", "magi-player-words")
    this.time = part("input", "magi-player-time", { type: "range", step: "0.04", "aria-label": say("time") })
    this.back = button(say("previous"), "‹", () => this.#go(-1))
    this.halt = button(say("pause"), say("pause"), () => this.screen.turn())
    this.halt.classList.add("magi-player-pause")
    this.everything = button(say("play all"), say("play all"), () => this.#playAll())
    this.forth = button(say("next"), "›", () => this.#go(1))
    this.mute = button(say("mute"), say("mute"), () => this.#mute())
    const buttons = part("div", "magi-player-buttons")
    const close = button(say("close"), say("close"), () => this.dialog.close())
    buttons.append(this.back, this.halt, this.forth, this.everything, this.mute, close)
    this.dialog.append(this.title, this.screen.element, this.time, this.state, this.words, buttons)
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
    this.screen.anew()
    if (!this.dialog.open) this.dialog.showModal()
    this.#show(index)
  }

  refresh() {
    if (this.dialog.open) this.#show(this.#index)
  }

  /** Seconds of a chunk. */
  get #length() {
    return FRAMES / (this.#programme?.fps ?? FRAMES)
  }

  /**
   * @param {number} index
   * @param {number} [at] seconds of the chunk at which its clip begins to play
   */
  #show(index, at = 0) {
    const { title, cells } = /** @type {Programme} */ (this.#programme)
    const all = cells()
    const place = all.findIndex((cell) => cell.index === index)
    const cell = all[place]
    this.back.disabled = place <= 0
    this.forth.disabled = place < 0 || place >= all.length - 1
    if (!cell) return void this.dialog.close()
    this.#index = index
    const seconds = this.#length
    this.title.textContent = `${title} · ${(index * seconds).toFixed(1)}–${((index + 1) * seconds).toFixed(1)} s`
    this.time.min = String((all[0]?.index ?? 0) * seconds)
    this.time.max = String(((all.at(-1)?.index ?? 0) + 1) * seconds)
    this.state.textContent = cell.clip ? describe(cell) : `${describe(cell)}. ${say("nothing to play")}`
    this.words.textContent = cell.words
    this.everything.ariaPressed = String(this.#all)
    this.halt.disabled = !cell.clip && !this.#all
    this.screen.show(cell, { length: seconds, at, goesOn: this.#all })
    this.#tellTime(index * seconds + this.screen.seconds)
    this.#hear()
    this.screen.prepare(this.#all ? all[place + 1] : undefined)
  }

  #hear() {
    const sound = this.#programme?.sound()
    this.mute.hidden = !sound
    this.mute.ariaPressed = String(this.screen.sound.muted)
    this.screen.hear(sound, this.#index * this.#length)
  }

  #mute() {
    const { sound } = this.screen
    sound.muted = !sound.muted
    this.mute.ariaPressed = String(sound.muted)
  }

  /** @param {number} seconds of the whole video */
  #seek(seconds) {
    const { cells } = /** @type {Programme} */ (this.#programme)
    const last = cells().at(-1)?.index ?? 0
    const index = Math.min(last, Math.floor(seconds / this.#length + 1e-6))
    const at = seconds - index * this.#length
    if (index !== this.#index) this.#show(index, at)
    else this.screen.seek(at)
    this.#tellTime(seconds)
  }

  /** @param {number} seconds of the whole video */
  #tellTime(seconds) {
    this.time.value = String(seconds)
    this.time.ariaValueText = `${seconds.toFixed(1)} s`
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
    this.screen.anew()
    this.refresh()
  }

  #listen() {
    this.time.addEventListener("input", () => this.#seek(Number(this.time.value)))
    this.dialog.addEventListener("click", ({ target }) => target === this.dialog && this.dialog.close())
    this.dialog.addEventListener("close", () => this.screen.clear())
    this.dialog.addEventListener("keydown", (event) => {
      event.stopPropagation() // ComfyUI has keys of its own
      if (event.target === this.time) return
      if (event.key === "ArrowLeft") this.#go(-1)
      else if (event.key === "ArrowRight") this.#go(1)
      else if (event.key === "m" && !this.mute.hidden) this.#mute()
      else if (event.key === " " && !(event.target instanceof HTMLButtonElement)) this.screen.turn()
      else return
      event.preventDefault()
    })
  }

  #tellWhetherItPlays() {
    this.halt.textContent = this.halt.title = this.halt.ariaLabel = say(this.screen.goes ? "pause" : "play")
  }
}

/**
 * @param {string} label
 * @param {string} text
 * @param {() => void} press
 */
function button(label, text, press) {
  const made = part("button", "", { type: "button", text, title: label, "aria-label": label })
  made.addEventListener("click", press)
  return made
}
