// What one cell shows: state, stage, still, clip, stale mark. Where it is and what a click does is the strip's.
import { stillAddress, temporaryFile } from "../magi/api.js"
import { useStyles } from "../magi/style.js"
import { say } from "./words.js"

/** @typedef {import("./cell_state.js").Cell} Cell */

const MOST_PLAYING = 12 // clips that play at the same time; of the others the still is seen until they are pointed at
const REST = 150 // milliseconds without scrolling until clips are fetched

/** Cells on the screen. @type {Set<CellView>} */
const seen = new Set()
/** @type {WeakMap<Element, CellView>} */
const views = new WeakMap()
/** @type {IntersectionObserver | undefined} */
let observer
/** @type {ReturnType<typeof setTimeout> | undefined} */
let rest

/** A cell on the page. `element` is placed, sized and focused by the strip that has it. */
export class CellView {
  /** @type {Cell | undefined} */
  #cell
  /** @type {HTMLVideoElement | undefined} */
  #video
  #pointed = false

  /** @param {{ onGone?: (key: string) => void }} [hooks] onGone: the clip of `key` cannot be fetched any more */
  constructor({ onGone = () => {} } = {}) {
    useStyles(new URL("./cell.css", import.meta.url).href)
    this.onGone = onGone
    this.element = part("magi-cell")
    this.still = Object.assign(document.createElement("img"), { alt: "", draggable: false, decoding: "async" })
    this.mark = part("magi-cell-mark")
    this.note = part("magi-cell-note")
    this.stages = part("magi-cell-stages")
    this.element.append(this.still, this.mark, this.note, this.stages)
    this.element.addEventListener("pointermove", (event) => this.#scrub(event))
    this.element.addEventListener("pointerleave", () => this.#leave())
    views.set(this.element, this)
    observer ??= new IntersectionObserver(seeChanges)
    observer.observe(this.element)
  }

  /**
   * Show this cell, in place of what was shown.
   * @param {Cell} cell
   */
  show(cell) {
    if (cell.clip !== this.#cell?.clip) this.#removeVideo()
    this.#cell = cell
    const { element } = this
    element.dataset.state = cell.state
    element.dataset.index = String(cell.index)
    element.toggleAttribute("data-stale", cell.stale)
    element.ariaLabel = describe(cell)
    element.title = cell.words ? `${element.ariaLabel}\n${cell.words}` : element.ariaLabel
    this.note.textContent = noteOf(cell)
    this.#showStill(cell)
    this.#showStages(cell)
    wake()
  }

  /** No longer needed: what it holds is let go. */
  release() {
    this.#removeVideo()
    seen.delete(this)
    observer?.unobserve(this.element)
  }

  /** Whether there is something to play. */
  get playable() {
    return (this.#cell?.clip ?? "") !== ""
  }

  /** Play the clip, or, with `on` false, let go of it. */
  play(on = true) {
    if (on && this.playable) this.#addVideo()
    else if (!this.#pointed) this.#removeVideo()
  }

  /** @param {Cell} cell */
  #showStill({ still, key }) {
    const address = !still ? "" : still.jpeg ? `data:image/jpeg;base64,${still.jpeg}` : stillAddress(key)
    this.element.toggleAttribute("data-pictured", address !== "")
    if (!address) this.still.removeAttribute("src")
    else if (this.still.getAttribute("src") !== address) this.still.src = address
  }

  /** @param {Cell} cell */
  #showStages({ state, stage, stages }) {
    const count = state === "denoising" ? stages : 0
    while (this.stages.children.length > count) this.stages.lastChild?.remove()
    while (this.stages.children.length < count) this.stages.append(document.createElement("i"))
    for (const [i, each] of [...this.stages.children].entries()) each.toggleAttribute("data-on", i <= stage)
  }

  #addVideo() {
    const { clip, key } = /** @type {Cell} */ (this.#cell)
    if (this.#video) return
    const video = document.createElement("video")
    Object.assign(video, { preload: "none", muted: true, loop: true, playsInline: true, poster: this.still.src })
    video.addEventListener("loadeddata", () => video.toggleAttribute("data-ready", true))
    video.addEventListener("error", () => {
      if (video !== this.#video) return
      this.#removeVideo()
      this.onGone(key)
    })
    video.dataset.filename = clip
    video.src = temporaryFile(clip)
    this.#video = video
    this.still.after(video)
    if (!stillness()) void video.play().catch(() => {}) // the page may forbid it: then the first frame is seen
    else video.load()
  }

  #removeVideo() {
    const video = this.#video
    if (!video) return
    this.#video = undefined
    video.pause()
    video.removeAttribute("src")
    video.load() // lets go of the file and the decoder
    video.remove()
  }

  /** @param {PointerEvent} event */
  #scrub(event) {
    if (!this.playable) return
    this.#pointed = true
    this.#addVideo()
    const video = /** @type {HTMLVideoElement} */ (this.#video)
    video.pause()
    const { left, width } = this.element.getBoundingClientRect()
    if (video.duration) video.currentTime = video.duration * Math.min(0.999, Math.max(0, (event.clientX - left) / width))
  }

  #leave() {
    this.#pointed = false
    if (!stillness()) void this.#video?.play().catch(() => {})
  }
}

/**
 * The state of a cell in words, for its label.
 * @param {Cell} cell
 */
export function describe({ index, state, stage, stages, stale, waits, exact }) {
  const words = [say("chunk", { index }), say(state, { stage: Math.min(stage + 1, stages), stages })]
  if (stale) words.push(say(exact ? "stale" : "maybe stale"))
  if (waits) words.push(say("queued"))
  return words.join(", ")
}

/**
 * What is written on a cell: only what its picture does not say.
 * @param {Cell} cell
 */
function noteOf({ state, stage, stages, still, stale, waits }) {
  if (state === "denoising") return `${Math.min(stage + 1, stages)}/${stages}`
  if (waits) return say("queued")
  if (state === "failed" || state === "queued" || (state === "planned" && !stale && !still)) return say(state)
  return ""
}

/** @param {IntersectionObserverEntry[]} entries */
function seeChanges(entries) {
  for (const { target, isIntersecting } of entries) {
    const view = views.get(target)
    if (!view) continue
    if (isIntersecting) seen.add(view)
    else {
      seen.delete(view)
      view.play(false)
    }
  }
  wake()
}

/** Clips play once nothing has moved for a moment: while one scrolls, only stills are drawn. */
function wake() {
  clearTimeout(rest)
  rest = setTimeout(playSeen, REST)
}

function playSeen() {
  const playable = [...seen].filter((view) => view.playable)
  for (const [i, view] of playable.entries()) view.play(i < MOST_PLAYING)
}

/** Whether the user wants no motion. */
function stillness() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches
}

/** @param {string} name */
function part(name) {
  return Object.assign(document.createElement("div"), { className: name })
}
