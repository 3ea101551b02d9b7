// The story of a storyboard while it is edited: in step with its text, with undo, and with what an edit makes stale. No DOM.
import { madeBy, together } from "./price.js"
import * as undoing from "./history.js"
import { stale } from "./stale.js"
import { again, count, sameStory, toLines } from "./story.js"
import { TextSync } from "./text_sync.js"

/** @typedef {import("../magi/api.js").Mistake} Mistake */
/** @typedef {import("../magi/api.js").Plan} Plan */
/** @typedef {import("../magi/api.js").Read} Read */
/** @typedef {import("./story.js").Story} Story */
/** @typedef {readonly (readonly [number, number])[]} Stretches first and last chunk of each */

/**
 * What the desk needs of where it is.
 * @typedef {object} Host
 * @property {(text: string, fps: number, asker?: string) => Promise<Read>} read of what an asker asks, only the newest waits
 * @property {(lines: readonly import("../magi/api.js").Line[], form: string, fps: number) => Promise<string>} write
 * @property {() => string} text
 * @property {(text: string) => void} setText
 * @property {() => void} changed what was done to the text so far is one step, for ComfyUI's own undo
 * @property {() => number} fps
 * @property {() => boolean} linked the text comes from another node
 * @property {() => Plan | undefined} plan of the node that makes this storyboard
 * @property {() => boolean} isPlanned the plan is of the text as it is now
 * @property {() => readonly import("./cell_state.js").Cell[]} cells its chunks; the same array until something changes
 * @property {() => string} going how the run that makes it goes, "" where none does
 * @property {() => string} note what is said in place of a price, "" where there is a plan
 * @property {(stale: Stretches) => void} edited chunks that are not what was planned
 * @property {(index: number, all: boolean) => void} play
 * @property {(key: string) => void} gone
 * @property {() => { sound: import("../magi/api.js").Sound, start: number } | undefined} heard
 */

export class Editing {
  history = undoing.begin([])
  /** @type {Story | undefined} a story that is only tried, while something is dragged or typed */
  tried
  /** @type {Story | undefined} one that is not even shown, while lines are dragged elsewhere */
  considered
  /** @type {Story | undefined} what the newest plan is of */
  planned
  /** @type {Plan | undefined} */
  plan
  known = "" // the text that the story is of
  /** @type {readonly Mistake[]} */
  mistakes = []
  failure = ""
  /** @type {undoing.History | undefined} of a desk that this one takes the place of */
  #adopted
  moves = false // what is tried or was done moves chunks
  #asker = `desk-${Math.random()}`
  #fps = 0 // that the text was read with

  /**
   * @param {Host} host
   * @param {object} shows
   * @param {(text: string) => void} shows.written the story was written
   * @param {() => void} shows.read a text was read, or could not be
   * @param {() => void} shows.failed
   */
  constructor(host, { written, read, failed }) {
    this.host = host
    this.sync = new TextSync({
      read: (text) => host.read(text, host.fps(), this.#asker),
      write: (lines, form) => host.write(lines, form, host.fps()),
      setText: (text) => {
        this.#set(text)
        written(text)
      },
      wasRead: (what) => {
        this.#wasRead(what)
        read()
      },
      failed: (failure) => {
        if (failure === this.failure) return
        this.failure = failure
        failed()
      },
    })
  }

  /** The story as it is, with what is being tried. */
  get story() {
    return this.tried ?? this.history.now
  }

  /** Whether nothing can be changed on the timeline: the text cannot be read, or is not this node's. */
  get locked() {
    return this.mistakes.length > 0 || this.host.linked()
  }

  // Text and story ----------------------------------------------------------------------------------------------------

  /**
   * The node may say something else: read it again.
   * @returns {string | undefined} its text, where that is so
   */
  refresh() {
    const text = this.host.text()
    const fps = this.host.fps()
    if (text === this.known && fps === this.#fps) return undefined
    this.known = text
    this.#fps = fps
    this.sync.read(text)
    return text
  }

  /**
   * Go on with the steps of a desk whose place this one takes, as far as its text is one of them.
   * @param {undoing.History} history
   */
  adopt(history) {
    this.#adopted = history
    this.sync.read(this.known)
  }

  /** @param {string} text */
  typed(text) {
    this.#set(text)
    this.sync.read(text, { soon: true })
  }

  /** @param {string} text */
  #set(text) {
    this.known = text
    this.host.setText(text)
  }

  /** @param {Read} read */
  #wasRead({ lines, errors }) {
    this.mistakes = errors ?? []
    if (!lines) return
    const known = this.#adopted ?? this.history
    this.#adopted = undefined
    const story = again(lines, known.now)
    const arrived = undoing.arrive(known, story)
    this.history = arrived ?? (this.history.now.length ? undoing.did(this.history, story) : undoing.begin(story))
    this.history = { ...this.history, now: story }
    // The plan of this text may have come before the text was read.
    if (this.plan && this.plan === this.host.plan() && this.host.isPlanned()) this.planned = story
    this.changed()
  }

  // Edits -------------------------------------------------------------------------------------------------------------

  /**
   * @param {Story} story
   * @returns {boolean} whether it is another one
   */
  do(story) {
    const history = undoing.did(this.history, story)
    if (this.locked || history === this.history) return false
    this.take(history)
    return true
  }

  /** @param {undoing.History} history what is told and undone from now on */
  take(history) {
    this.history = history
    this.tried = undefined
    this.sync.write(toLines(history.now))
    this.changed()
  }

  /** Tell the cells what is not as it was planned. */
  changed() {
    this.host.edited(this.staleIn(this.story))
  }

  /**
   * Show a story that moves chunks without doing it.
   * @param {Story} story
   */
  try(story) {
    this.moves = true
    this.tried = story
    this.changed()
  }

  /**
   * Mark what a story that moves chunks would make stale, without showing it.
   * @param {Story} story
   */
  consider(story) {
    this.moves = true
    this.considered = story
    this.host.edited(this.staleIn(story))
  }

  /**
   * End what was tried or considered.
   * @param {boolean} keep do it
   * @returns {boolean} whether the story is another one now
   */
  decide(keep) {
    const story = this.considered ?? this.tried
    this.considered = this.tried = undefined
    const done = keep && story !== undefined && this.do(story)
    this.changed()
    return done
  }

  // What it makes stale -----------------------------------------------------------------------------------------------

  /**
   * What is known of the chunks has changed.
   * @returns {boolean} whether there is another plan of the text as it is now
   */
  replanned() {
    const plan = this.host.plan()
    const news = plan !== this.plan && this.host.isPlanned()
    if (news) {
      this.plan = plan
      this.planned = plan && this.history.now
    }
    this.changed() // a plan of what was there before it says nothing of this
    return news
  }

  /**
   * What would have to be made again, as far as is known.
   * @param {Story} story
   */
  staleIn(story) {
    return this.planned ? stale(this.planned, story) : []
  }

  /**
   * What the edits since the plan make anew.
   * @returns {{ stretches: Stretches, moved: boolean } | undefined} undefined: the plan is of what is shown
   */
  get anew() {
    const { plan, planned, story } = this
    if (!plan || !planned) return undefined
    const stretches = stale(planned, story)
    if (!stretches.length && sameStory(planned, story)) return undefined
    if (!stretches.length || this.moves) return { stretches, moved: this.moves }
    return { stretches: together(stretches, madeBy(plan), count(story)), moved: false }
  }
}
