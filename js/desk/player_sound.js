// The sound of what is played, kept in step with its pictures.

const SLIGHT = 0.04 // seconds that nobody hears
const MUCH = 0.25 // seconds out of step that are not made up for by a little haste
const HASTE = 0.06

let muted = false // as it was chosen last, on this page

export class PlayerSound {
  audio = Object.assign(document.createElement("audio"), { preload: "auto" })
  #begins = 0 // of what is shown, in seconds of the sound
  /** @type {import("./still_time.js").StillTime | undefined} */
  #still // that takes a clip's place; undefined: there is a clip
  #goesOn = false // the next chunk follows, so that the end of one is no pause

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.video = video
    this.audio.muted = muted
    for (const event of ["playing", "pause", "seeked", "timeupdate", "waiting"]) {
      video.addEventListener(event, () => this.follow())
    }
  }

  get muted() {
    return this.audio.muted
  }

  set muted(on) {
    this.audio.muted = muted = on
  }

  /**
   * What is shown from now on.
   * @param {string} address of the sound, "" where there is none
   * @param {number} begins seconds of the sound at which the shown chunk begins
   * @param {{ still: import("./still_time.js").StillTime | undefined, goesOn: boolean }} how a still in a clip's place;
   *   whether the next chunk follows
   */
  show(address, begins, { still, goesOn }) {
    if (this.audio.getAttribute("src") !== (address || null)) {
      if (address) this.audio.src = address
      else this.stop()
    }
    this.#begins = begins
    this.#still = still
    this.#goesOn = goesOn
    if (still) this.follow()
  }

  stop() {
    this.audio.pause()
    this.audio.removeAttribute("src")
  }

  /** Be where the pictures are. */
  follow() {
    const { audio, video } = this
    if (!audio.hasAttribute("src")) return
    const goes = this.#still ? !this.#still.halted : !video.paused || (video.ended && this.#goesOn)
    const shown = this.#still?.seconds ?? video.currentTime
    const wanted = this.#begins + shown
    const ends = Number.isFinite(audio.duration) ? audio.duration : Infinity
    if (wanted < 0 || wanted >= ends) return audio.pause()
    const ahead = audio.currentTime - wanted
    if (Math.abs(ahead) > (goes ? MUCH : SLIGHT)) audio.currentTime = wanted
    audio.playbackRate = !goes || Math.abs(ahead) < SLIGHT || Math.abs(ahead) > MUCH ? 1 : ahead > 0 ? 1 - HASTE : 1 + HASTE
    if (!goes) audio.pause()
    else if (audio.paused) void audio.play().catch(() => {}) // the page may forbid it: then it is played without sound
  }
}
