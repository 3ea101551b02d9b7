// The desk on Magi Storyboard: Timeline and Text tabs, menus, and the line with the price.
import { useStyles } from "../magi/style.js"
import { drawBlock, sayBlock } from "./block.js"
import { chunkLane } from "./chunk_lane.js"
import { chordOf, DEEDS } from "./deeds.js"
import { editLine } from "./line_editor.js"
import { iconButton, keepInside, part } from "./parts.js"
import { inWords, madeBy, priceOf, together } from "./price.js"
import * as model from "./story.js"
import { StoryClipboard } from "./story_clipboard.js"
import { makeTabs, makeTools } from "./story_head.js"
import { directLines, dragLines, openMenuOf } from "./story_windows.js"
import { placeInWords, words } from "./story_words.js"
import { clock, Strip } from "./strip.js"
import { TextSync } from "./text_sync.js"
import { TextTab } from "./text_tab.js"

/** @typedef {import("../magi/api.js").Line} Line */
/** @typedef {import("../magi/api.js").Mistake} Mistake */
/** @typedef {import("../magi/api.js").Plan} Plan */
/** @typedef {import("../magi/api.js").Read} Read */
/** @typedef {import("./cells.js").Cell} Cell */
/** @typedef {import("./story.js").Placed} Placed */
/** @typedef {import("./story.js").Story} Story */
/** @typedef {{ id: number, first: number, last: number, block: Placed }} Item a block on the strip, with what is held */

/**
 * What the desk needs of where it is.
 * @typedef {object} Host
 * @property {(text: string, fps: number) => Promise<Read>} read
 * @property {(lines: readonly Line[], form: string, fps: number) => Promise<string>} write
 * @property {() => string} text
 * @property {(text: string) => void} setText
 * @property {() => void} changed what was done to the text so far is one step, for ComfyUI's own undo
 * @property {() => number} fps
 * @property {() => boolean} linked the text comes from another node
 * @property {() => Plan | undefined} plan of the node that makes this storyboard
 * @property {() => boolean} isPlanned the plan is of the text as it is now
 * @property {() => readonly Cell[]} cells its chunks; the same array until something changes
 * @property {() => string} going how the run that makes it goes, "" where none does
 * @property {() => string} note what is said in place of a price, "" where there is a plan
 * @property {(stale: readonly (readonly [number, number])[]) => void} edited chunks that are not what was planned
 * @property {(index: number, all: boolean) => void} play
 * @property {(key: string) => void} gone
 */

const FRAMES = 24 // of a chunk

export class StoryboardDesk {
  /** @param {Host} host */
  constructor(host) {
    this.host = host
    this.history = model.begin([])
    /** @type {Story | undefined} a story that is only tried, while something is dragged or typed */
    this.tried = undefined
    /** @type {Story | undefined} one that is not even shown, while lines are dragged elsewhere */
    this.considered = undefined
    /** @type {Story | undefined} what the newest plan is of */
    this.planned = undefined
    /** @type {Plan | undefined} */
    this.plan = undefined
    /** @type {readonly Item[]} */
    this.items = []
    this.known = "" // the text that the story is of
    /** @type {readonly Mistake[]} */
    this.mistakes = []
    this.failure = ""
    this.said = "" // what was done last
    this.tab = "timeline"
    /** @type {(() => void) | undefined} */
    this.endEdit = undefined
    this.frame = 0
    this.moves = false // what is tried or was done moves chunks

    useStyles(new URL("./desk.css", import.meta.url).href)
    useStyles(new URL("./storyboard.css", import.meta.url).href)
    this.sync = new TextSync({
      read: (text) => host.read(text, host.fps()),
      write: (lines, form) => host.write(lines, form, host.fps()),
      setText: (text) => this.#written(text),
      wasRead: (read) => this.#wasRead(read),
      failed: (failure) => this.#failed(failure),
    })
    this.strip = this.#makeStrip()
    this.text = new TextTab({ typed: (text) => this.#typed(text), left: () => host.changed() })
    this.tabs = makeTabs(this)
    const { tools, deeds } = makeTools(this)
    this.tools = tools
    this.deeds = deeds
    this.banner = part("div", "magi-banner", { hidden: "" })
    this.timeline = part("div", "magi-timeline", { role: "tabpanel", "aria-label": words("timeline") }, this.strip.element)
    this.append = iconButton("add", words("add_end"), () => this.addAtEnd())
    this.append.classList.add("magi-append")
    this.append.tabIndex = -1 // the keyboard has it among the tools
    this.price = part("span", "magi-price", { role: "status" })
    this.length = part("span", "magi-length")
    this.element = part("div", "magi-desk magi-storyboard", { role: "group", "aria-label": words("storyboard") })
    keepInside(this.element)
    this.#build()
    dragLines(this)
    this.clipboard = new StoryClipboard(this)
    this.refresh()
  }

  // What is shown -----------------------------------------------------------------------------------------------------

  /** The story as it is, with what is being tried. */
  get story() {
    return this.tried ?? this.history.now
  }

  /** Whether nothing can be changed on the timeline: the text cannot be read, or is not this node's. */
  get locked() {
    return this.mistakes.length > 0 || this.host.linked()
  }

  /** Ids of the selected lines, in order of time. */
  get ids() {
    return this.strip.selected.map(({ id }) => Number(id))
  }

  #makeStrip() {
    const { host } = this
    /** @type {import("./strip.js").Lane<Item>} */
    const lines = {
      name: "lines",
      items: () => this.items,
      draw: (cell, { block }) => drawBlock(cell, block),
      say: ({ block }) => sayBlock(block),
    }
    const play = (/** @type {number} */ index) => host.play(index, false)
    return new Strip({
      label: words("strip"),
      lanes: [lines, chunkLane({ cells: () => host.cells(), play, gone: (key) => host.gone(key) })],
      chunkWidth: 112,
      fps: host.fps(),
      hands: {
        open: (item) => this.edit(Number(item.id)),
        play: () => host.play((this.plan?.first ?? 0) + this.strip.cursor, true),
        key: (event) => this.#key(event),
        selected: () => this.#select(),
        menu: (_, x, y) => openMenuOf(this, x, y),
      },
    })
  }

  #build() {
    const head = part("div", "magi-head", {}, this.tabs, this.tools)
    const foot = part("div", "magi-foot", {}, this.price, this.length)
    this.element.append(head, this.banner, this.timeline, this.text.element, foot)
    this.strip.content.append(this.append)
    this.strip.keys.setAttribute("aria-description", words("keys"))
    this.show("timeline")
  }

  /** @param {"timeline" | "text"} tab */
  show(tab) {
    this.tab = tab
    this.endEdit?.()
    for (const button of this.tabs.children) {
      const chosen = /** @type {HTMLElement} */ (button).dataset.tab === tab
      button.setAttribute("aria-selected", String(chosen))
      button.setAttribute("tabindex", chosen ? "0" : "-1")
    }
    this.timeline.hidden = tab !== "timeline"
    this.tools.hidden = tab !== "timeline"
    this.text.element.hidden = tab !== "text"
    if (tab === "text") this.text.show(this.host.text())
    this.draw()
  }

  /** The widgets of the node may say something else. */
  refresh() {
    const text = this.host.text()
    const { fps } = this.strip
    this.strip.fps = this.host.fps()
    this.element.classList.toggle("magi-linked", this.host.linked())
    if (text !== this.known || fps !== this.strip.fps) {
      this.known = text
      this.text.show(text)
      this.sync.read(text)
    }
    this.draw()
  }

  /** What is known of the chunks has changed. */
  refreshCells() {
    const plan = this.host.plan()
    if (plan !== this.plan && this.host.isPlanned()) {
      this.plan = plan
      this.planned = plan && this.history.now
      if (!this.considered) this.said = "" // the price is news
    }
    this.#changed() // a plan of what was there before it says nothing of this
    this.#drawSoon()
  }

  #drawSoon() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0
      this.draw()
    })
  }

  draw() {
    this.items = model.place(this.story).map((block) => ({ id: block.id, first: block.first, last: block.end, block }))
    const chunks = model.count(this.story)
    const { locked } = this
    this.element.classList.toggle("magi-locked", locked)
    this.element.classList.toggle("magi-planned", this.host.cells().length > 0)
    this.text.setReadOnly(this.host.linked())
    for (const button of this.tools.querySelectorAll("button")) button.disabled = locked
    for (const [{ possible }, button] of this.deeds) button.disabled ||= possible?.(this) === false
    this.#drawBanner()
    this.strip.draw()
    this.append.style.left = `${this.strip.left(this.items.at(-1)?.last ?? -1) + this.strip.chunkWidth}px`
    this.append.disabled = locked
    const time = clock((chunks * FRAMES) / this.strip.fps)
    this.length.textContent = words(chunks === 1 ? "one_chunk" : "length", { chunks, time })
    this.price.textContent = this.sentence()
  }

  #drawBanner() {
    const [first] = this.mistakes
    this.banner.hidden = !first && !this.host.linked() && !this.failure
    this.banner.replaceChildren()
    if (this.host.linked()) this.banner.textContent = words("linked")
    else if (first && this.tab === "timeline") {
      const { line, message } = first
      const place = line === null || message.startsWith(`line ${line}`) ? message : words("at_line", { line, message })
      const go = part("button", "magi-link", { type: "button", text: place })
      go.addEventListener("click", () => {
        this.show("text")
        this.text.go(line ?? 1)
      })
      this.banner.append(part("span", "", { text: `${words("not_read")}. ` }), go)
    } else if (this.failure) this.banner.textContent = words("not_written", { why: this.failure })
    else this.banner.hidden = true
  }

  /** What the line below says: what was tried or changed makes anew, or what the next run costs. */
  sentence() {
    const { plan, planned } = this
    if (!plan || !planned) return this.said || this.host.going() || this.host.note()
    const stale = model.stale(planned, this.story)
    if (!stale.length && !model.sameStory(planned, this.story)) return words("stale_none")
    if (!stale.length) return this.said || this.#goingOrPrice(plan)
    if (this.moves) return words("stale_move", { chunks: inWords(stale) })
    return words("stale_edit", { chunks: inWords(together(stale, madeBy(plan), model.count(this.story))) })
  }

  /**
   * How the run goes; and what the next one costs, where it is not of the same.
   * @param {Plan} plan
   */
  #goingOrPrice(plan) {
    const going = this.host.going()
    const done = going && !this.host.cells().some(({ stale }) => stale)
    return done ? going : [going, priceOf(plan)].filter(Boolean).join(" · ")
  }

  // Text and story ----------------------------------------------------------------------------------------------------

  /** @param {string} text */
  #typed(text) {
    this.known = text
    this.host.setText(text)
    this.sync.read(text, { soon: true })
  }

  /** @param {string} text */
  #written(text) {
    this.known = text
    this.host.setText(text)
    this.text.show(text)
    if (!this.endEdit) this.host.changed()
  }

  /** @param {Read} read */
  #wasRead({ lines, errors }) {
    this.mistakes = errors ?? []
    this.text.mark(this.mistakes)
    if (lines) {
      const story = model.again(lines, this.history.now)
      this.history = this.history.now.length ? model.did(this.history, story) : model.begin(story)
      this.history = { ...this.history, now: story }
      this.#changed()
    }
    this.draw()
  }

  /** @param {string} failure */
  #failed(failure) {
    if (failure === this.failure) return
    this.failure = failure
    this.draw()
  }

  /**
   * Do something to the story.
   * @param {Story} story
   * @param {readonly number[]} [select] ids that are selected then
   */
  do(story, select) {
    if (this.locked) return
    const before = this.history
    this.history = model.did(before, story)
    if (this.history === before) return
    this.said = ""
    this.#take(select)
  }

  /** @param {readonly number[]} [select] */
  #take(select) {
    this.tried = undefined
    this.sync.write(model.toLines(this.history.now))
    this.#changed()
    this.draw()
    if (select?.length) {
      this.strip.select(select)
      this.strip.reveal(this.strip.cursor)
    } else this.clipboard.selected()
  }

  /** Tell the cells what is not as it was planned. */
  #changed() {
    this.host.edited(this.staleIn(this.story))
  }

  /**
   * What would have to be made again, as far as is known.
   * @param {Story} story
   */
  staleIn(story) {
    return this.planned ? model.stale(this.planned, story) : []
  }

  /**
   * Chunks move where a story is taken up: what is said of that before it is done, or "".
   * @param {Story} story
   */
  warning(story) {
    const stale = this.staleIn(story)
    return stale.length ? words("stale_move", { chunks: inWords(stale) }) : ""
  }

  /**
   * Show a story that moves chunks, and say what that makes stale, without doing it.
   * @param {Story} story
   */
  try(story) {
    this.moves = true
    this.tried = story
    this.#changed()
    this.draw()
  }

  /**
   * Say of a story that moves chunks what it would make stale, without showing it.
   * @param {Story} story
   */
  consider(story) {
    this.moves = true
    this.considered = story
    this.host.edited(this.staleIn(story))
    this.say(this.warning(story))
  }

  /**
   * End what was tried or considered.
   * @param {boolean} keep do it
   */
  decide(keep) {
    const story = this.considered ?? this.tried
    const { ids } = this
    this.considered = this.tried = undefined
    this.said = ""
    if (keep && story) this.do(story, ids)
    this.#changed()
    this.draw()
    this.moves = false
  }

  /** Until all edits are in the widget. */
  settled() {
    return this.sync.settled()
  }

  // What can be done --------------------------------------------------------------------------------------------------

  undo() {
    this.#goTo(model.undo(this.history), "undone")
  }

  redo() {
    this.#goTo(model.redo(this.history), "redone")
  }

  /** @param {model.History} history @param {import("./story_words.js").Word} word */
  #goTo(history, word) {
    if (this.locked || history.now === this.history.now) return
    this.history = history
    this.#take()
    this.say(words(word))
  }

  /** @param {string} sentence said until something else happens */
  say(sentence) {
    this.said = sentence
    this.price.textContent = sentence
  }

  /** @param {boolean} [before] the selection, or else behind it */
  add(before = false) {
    const { story, ids } = this
    const chosen = story.map(({ id }) => ids.includes(id))
    const index = before ? chosen.indexOf(true) : chosen.lastIndexOf(true) + 1
    const [longer, made] = model.insert(story, Math.max(0, index))
    this.do(longer, made)
    if (made[0] !== undefined) this.edit(made[0])
  }

  addAtEnd() {
    this.strip.go(model.count(this.story) - 1)
    this.add()
  }

  split() {
    const { cursor } = this.strip
    this.do(model.split(this.story, cursor))
    this.strip.go(cursor)
  }

  duplicate() {
    this.do(...model.duplicate(this.story, this.ids))
  }

  remove() {
    const { story, ids } = this
    if (story.length === ids.length) this.say(words("last_line"))
    const left = model.remove(story, ids)
    const next = Math.min(story.findIndex(({ id }) => ids.includes(id)), left.length - 1)
    this.do(left, left === story ? undefined : [left[next]?.id ?? 0])
  }

  reroll() {
    this.do(model.reroll(this.story, this.ids), this.ids)
  }

  /** @param {-1 | 1} by */
  move(by) {
    this.do(model.shift(this.story, this.ids, by), this.ids)
  }

  /** @param {number} by chunks */
  stretch(by) {
    const { ids } = this
    this.do(ids.reduce((story, id) => model.stretch(story, id, (story.find((each) => each.id === id)?.length ?? 1) + by), this.story))
    this.strip.reveal(this.strip.cursor)
  }

  /**
   * Edit the words of a line where they stand.
   * @param {number} id
   */
  edit(id) {
    if (this.locked) return
    this.endEdit?.()
    const block = this.items.find((each) => each.id === id)?.block
    const row = this.strip.rows[0]
    if (!block || !row) return
    this.strip.reveal(block.first)
    const { first, last, prompt } = block
    const before = this.history
    this.endEdit = editLine(this.strip, row, { first, last, prompt, where: placeInWords(first, last) }, {
      typed: (typed) => {
        this.history = model.did(before, model.direct(before.now, [id], { prompt: typed }))
        this.#take()
      },
      ended: (how, byKeyboard) => this.#edited(how, byKeyboard, before, id),
    })
  }

  /**
   * @param {"done" | "cancel" | "next" | "previous" | "new"} how
   * @param {boolean} byKeyboard
   * @param {model.History} before
   * @param {number} id
   */
  #edited(how, byKeyboard, before, id) {
    this.endEdit = undefined
    if (how === "cancel" && this.history !== before) {
      this.history = before
      this.#take()
    }
    void this.sync.settled().then(() => this.host.changed())
    if (byKeyboard) this.strip.focus()
    this.strip.select([id])
    const next = this.story.findIndex((each) => each.id === id) + (how === "next" ? 1 : how === "previous" ? -1 : 0)
    const line = this.story[next]
    if (how === "new") this.add()
    else if (line && line.id !== id) {
      this.strip.select([line.id])
      this.edit(line.id)
    }
  }

  /** @param {string} [tag] what of the window gets the keyboard */
  direct(tag) {
    if (!this.locked) directLines(this, tag)
  }

  // Hands -------------------------------------------------------------------------------------------------------------

  /** @param {KeyboardEvent} event */
  #key(event) {
    const chord = chordOf(event)
    if (chord === "escape") this.strip.go(this.strip.cursor)
    const deed = DEEDS.find((each) => each?.keys.includes(chord))
    if (deed && deed.possible?.(this) !== false) deed.run(this)
    return deed !== undefined || chord === "escape"
  }

  #select() {
    this.said = ""
    this.price.textContent = this.sentence()
    this.clipboard.selected()
  }
}
