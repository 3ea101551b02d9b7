// One chunk large, with its words, or the whole strip in order.
import { stillAddress, temporaryFile } from "../magi/api.js"
import { useStyles } from "../magi/style.js"
import { describe } from "./cell.js"
import { part } from "./parts.js"
import { PlayerSound } from "./player_sound.js"
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
  #shown = "" // key and clip, so that nothing begins anew for what has not changed
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #wait

  constructor() {
    useStyles(new URL("./player.css", import.meta.url).href)
    this.dialog = part("dialog", "magi-player", { "aria-label": say("player") })
    this.title = part("h2", "magi-player-title")
    this.stage = part("div", "magi-player-stage", { tabindex: "-1", autofocus: "" }) // so that space pauses, and presses nothing
    this.still = part("img", "", { alt: "" })
    this.video = part("video")
    Object.assign(this.video, { muted: true, playsInline: true, preload: "auto" })
    this.next = part("video") // fetched while this one plays
    Object.assign(this.next, { muted: true, preload: "auto", hidden: true })
    this.stage.append(this.still, this.video, this.next)
    this.state = part("p", "magi-player-state", { "aria-live": "polite" })
    this.words = part("p", "magi-player-words")
    this.sound = new PlayerSound(this.video)
    this.time = part("input", "magi-player-time", { type: "range", step: "0.04", "aria-label": say("time") })
    this.back = button(say("previous"), "‹", () => this.#go(-1))
    this.halt = button(say("pause"), say("pause"), () => this.#pause())
    this.halt.classList.add("magi-player-pause")
    this.everything = button(say("play all"), say("play all"), () => this.#playAll())
    this.forth = button(say("next"), "›", () => this.#go(1))
    this.mute = button(say("mute"), say("mute"), () => this.#mute())
    const buttons = part("div", "magi-player-buttons")
    const close = button(say("close"), say("close"), () => this.dialog.close())
    buttons.append(this.back, this.halt, this.forth, this.everything, this.mute, close)
    this.dialog.append(this.title, this.stage, this.time, this.state, this.words, buttons)
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
    this.halt.disabled = !cell.clip
    this.#put(cell, at)
    this.#hear(cell)
    this.#prepare(all[place + 1])
  }

  /**
   * @param {Cell} cell
   * @param {number} at
   */
  #put({ key, clip, still }, at) {
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
      if (at) this.video.currentTime = at
      void this.video.play().catch(() => {}) // forbidden: its controls are there
    } else {
      this.video.removeAttribute("src")
      if (this.#all) this.#wait = setTimeout(() => this.#go(1), 1000 * this.#length)
    }
  }

  /** @param {Cell} cell */
  #hear({ index, clip }) {
    const sound = this.#programme?.sound()
    this.mute.hidden = !sound
    this.mute.ariaPressed = String(this.sound.muted)
    const begins = Math.max(0, index * this.#length - (sound?.start ?? 0))
    const how = { still: !clip, goesOn: this.#all }
    this.sound.show(sound?.address ?? "", begins, how)
  }

  #mute() {
    this.sound.muted = !this.sound.muted
    this.mute.ariaPressed = String(this.sound.muted)
  }

  /** @param {number} seconds of the whole video */
  #seek(seconds) {
    const { cells } = /** @type {Programme} */ (this.#programme)
    const last = cells().at(-1)?.index ?? 0
    const index = Math.min(last, Math.floor(seconds / this.#length + 1e-6))
    const at = seconds - index * this.#length
    if (index !== this.#index) this.#show(index, at)
    else if (this.video.src) this.video.currentTime = at
    this.#tellTime(seconds)
  }

  /** @param {number} seconds of the whole video */
  #tellTime(seconds) {
    this.time.value = String(seconds)
    this.time.ariaValueText = `${seconds.toFixed(1)} s`
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
    for (const event of ["play", "pause", "emptied"]) this.video.addEventListener(event, () => this.#tellWhetherItPlays())
    this.video.addEventListener("timeupdate", () => this.#tellTime(this.#index * this.#length + this.video.currentTime))
    this.time.addEventListener("input", () => this.#seek(Number(this.time.value)))
    this.video.addEventListener("click", () => this.#pause())
    this.dialog.addEventListener("click", ({ target }) => target === this.dialog && this.dialog.close())
    this.dialog.addEventListener("close", () => {
      clearTimeout(this.#wait)
      this.sound.stop()
      for (const video of [this.video, this.next]) {
        video.removeAttribute("src")
        video.load()
      }
      this.#shown = ""
    })
    this.dialog.addEventListener("keydown", (event) => {
      event.stopPropagation() // ComfyUI has keys of its own
      if (event.target === this.time) return
      if (event.key === "ArrowLeft") this.#go(-1)
      else if (event.key === "ArrowRight") this.#go(1)
      else if (event.key === "m" && !this.mute.hidden) this.#mute()
      else if (event.key === " " && !(event.target instanceof HTMLButtonElement)) this.#pause()
      else return
      event.preventDefault()
    })
  }

  #tellWhetherItPlays() {
    const goes = !this.video.paused || (this.video.ended && this.#all) // then the next chunk follows
    this.halt.textContent = this.halt.title = this.halt.ariaLabel = say(goes ? "pause" : "play")
  }

  #pause() {
    if (this.video.paused) void this.video.play().catch(() => {})
    else this.video.pause()
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
