// One chunk large: its clip, or its still for as long as the clip would take, with the sound that belongs to it.
import { stillAddress, temporaryFile } from "../magi/api.js"
import { part } from "./parts.js"
import { PlayerSound } from "./player_sound.js"
import { StillTime } from "./still_time.js"

/** @typedef {import("./cell_state.js").Cell} Cell */

export class PlayerScreen {
  #shown = "" // which chunk; "": whichever comes begins anew
  #clip = ""
  #halted = false // by hand, as long as it is that chunk
  #goesOn = false // the next chunk follows
  #length = 0

  /**
   * @param {object} tells
   * @param {() => void} tells.over the chunk is through, and does not begin again
   * @param {() => void} tells.passes its time passes
   * @param {() => void} tells.turned it was halted, or goes on
   */
  constructor({ over, passes, turned }) {
    this.turned = turned
    this.still = part("img", "", { alt: "" })
    this.video = part("video")
    Object.assign(this.video, { muted: true, playsInline: true, preload: "auto" })
    this.next = part("video") // fetched while this one plays
    Object.assign(this.next, { muted: true, preload: "auto", hidden: true })
    const focus = { tabindex: "-1", autofocus: "" } // so that space pauses, and presses nothing
    this.element = part("div", "magi-player-stage", focus, this.still, this.video, this.next)
    this.sound = new PlayerSound(this.video)
    this.standing = new StillTime({
      passes: () => {
        passes()
        this.sound.follow()
      },
      over,
    })
    this.video.addEventListener("ended", over)
    this.video.addEventListener("timeupdate", passes)
    for (const event of ["play", "pause", "emptied"]) this.video.addEventListener(event, turned)
    this.video.addEventListener("click", () => this.turn())
  }

  /** Seconds of the chunk. */
  get seconds() {
    return this.#clip ? this.video.currentTime : this.standing.seconds
  }

  get goes() {
    const { video } = this
    if (!this.#clip) return !this.standing.halted
    return !video.paused || (video.ended && this.#goesOn)
  }

  /**
   * What is shown already goes on as it was, also where its clip takes the place of its still.
   * @param {Cell} cell
   * @param {object} how
   * @param {number} how.length seconds of a chunk
   * @param {number} how.at seconds of another one that are left out
   * @param {boolean} how.goesOn the next chunk follows
   */
  show({ index, key, clip, still }, { length, at, goesOn }) {
    const chunk = `${index} ${key}`
    const another = chunk !== this.#shown
    const begins = another || clip !== this.#clip
    const from = another ? at : this.seconds
    if (another) this.#halted = false
    Object.assign(this.video, { loop: !goesOn, hidden: !clip })
    this.#shown = chunk
    this.#clip = clip
    this.#length = length
    this.#goesOn = goesOn
    const picture = !still ? "" : still.jpeg ? `data:image/jpeg;base64,${still.jpeg}` : stillAddress(key)
    this.#picture(picture)
    if (begins) this.#begin(clip, picture, from)
    if (goesOn && !clip && !this.#halted) this.standing.goOn()
    else this.standing.halt()
    this.turned()
  }

  /** @param {string} picture */
  #picture(picture) {
    this.still.hidden = !picture || this.#clip !== ""
    if (!picture) this.still.removeAttribute("src")
    else if (this.still.getAttribute("src") !== picture) this.still.src = picture
  }

  /**
   * @param {string} clip
   * @param {string} picture
   * @param {number} at
   */
  #begin(clip, picture, at) {
    this.standing.begin(this.#length, at)
    if (!clip) return this.video.removeAttribute("src")
    this.video.poster = picture
    this.video.src = temporaryFile(clip)
    if (at) this.video.currentTime = at
    if (!this.#halted) this.#play()
  }

  #play() {
    void this.video.play().catch(() => {}) // forbidden: there is a button
  }

  /**
   * @param {{ address: string, start: number } | undefined} sound
   * @param {number} from seconds of the whole video at which the chunk begins
   */
  hear(sound, from) {
    const begins = Math.max(0, from - (sound?.start ?? 0))
    const still = this.#clip ? undefined : this.standing
    this.sound.show(sound?.address ?? "", begins, { still, goesOn: this.#goesOn })
  }

  /** @param {Cell | undefined} cell what follows, where something does */
  prepare(cell) {
    if (cell?.clip) this.next.src = temporaryFile(cell.clip)
    else this.next.removeAttribute("src")
  }

  /** @param {number} at seconds of the chunk */
  seek(at) {
    if (this.#clip) return void (this.video.currentTime = at)
    const { halted } = this.standing
    this.standing.begin(this.#length, at)
    if (!halted) this.standing.goOn()
    this.sound.follow()
  }

  /** Halt, or go on. */
  turn() {
    this.#halted = this.goes
    if (this.#clip && this.#halted) this.video.pause()
    else if (this.#clip) this.#play()
    else if (this.#goesOn && !this.#halted) this.standing.goOn()
    else this.standing.halt()
    if (this.#clip) return
    this.sound.follow()
    this.turned()
  }

  /** Whatever is shown next begins anew. */
  anew() {
    this.#shown = ""
  }

  clear() {
    this.anew()
    this.standing.begin(0)
    this.sound.stop()
    for (const video of [this.video, this.next]) {
      video.removeAttribute("src")
      video.load()
    }
  }
}
