// The desk on Magi Storyboard: Timeline and Text tabs, tools, and the line with the price.
import { useStyles } from "../magi/style.js"
import { drawBanner } from "./banner.js"
import { addAtEnd, chordOf, DEEDS } from "./deeds.js"
import { Editing } from "./editing.js"
import { iconButton, keepInside, part } from "./parts.js"
import { warningOf } from "./price_line.js"
import { place } from "./story.js"
import { StoryClipboard } from "./story_clipboard.js"
import { StoryFoot } from "./story_foot.js"
import { makeTabs, makeTools } from "./story_head.js"
import { storyStrip } from "./story_strip.js"
import { directLines, dragLines } from "./story_windows.js"
import { words } from "./story_words.js"
import { setView, viewOf } from "./strip_zoom.js"
import { TextTab } from "./text_tab.js"

/** @typedef {import("./editing.js").Host} Host */
/** @typedef {import("./story.js").Story} Story */
/** @typedef {{ id: number, first: number, last: number, block: import("./story.js").Placed }} Item a block, with what is held */

/** @typedef {{ history: import("./history.js").History, tab: string, view: import("./strip_zoom.js").View }} Keepsake */

export class StoryboardDesk {
  /** @type {readonly Item[]} */
  items = []
  tab = "timeline"
  /** @type {(() => void) | undefined} */
  endEdit
  #frame = 0

  /** @param {Host} host */
  constructor(host) {
    useStyles(new URL("./desk.css", import.meta.url).href)
    useStyles(new URL("./storyboard.css", import.meta.url).href)
    this.host = host
    this.editing = new Editing(host, {
      written: (text) => {
        this.text.show(text)
        if (!this.endEdit) host.changed()
      },
      read: () => {
        this.text.mark(this.editing.mistakes)
        this.draw()
      },
      failed: () => this.draw(),
    })
    this.strip = storyStrip(this, (event) => this.#key(event), () => this.#select())
    this.text = new TextTab({ typed: (text) => this.editing.typed(text), left: () => host.changed() })
    this.tabs = makeTabs(this)
    const { tools, deeds } = makeTools(this)
    this.tools = tools
    this.deeds = deeds
    this.banner = part("div", "magi-banner", { hidden: "" })
    this.timeline = part("div", "magi-timeline", { role: "tabpanel", "aria-label": words("timeline") }, this.strip.element)
    this.append = iconButton("add", words("add_end"), () => addAtEnd(this))
    this.append.classList.add("magi-append")
    this.append.tabIndex = -1 // the keyboard has it among the tools
    this.foot = new StoryFoot(this.editing)
    this.element = part("div", "magi-desk magi-storyboard", { role: "group", "aria-label": words("storyboard") })
    keepInside(this.element)
    this.#build()
    dragLines(this)
    this.clipboard = new StoryClipboard(this)
    this.refresh()
  }

  // What is shown -----------------------------------------------------------------------------------------------------

  get story() {
    return this.editing.story
  }

  get locked() {
    return this.editing.locked
  }

  /** Ids of the selected lines, in order of time. */
  get ids() {
    return this.strip.selected.map(({ id }) => Number(id))
  }

  #build() {
    const head = part("div", "magi-head", {}, this.tabs, this.tools)
    this.element.append(head, this.banner, this.timeline, this.text.element, this.foot.element)
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
    this.strip.fps = this.host.fps()
    this.element.classList.toggle("magi-linked", this.host.linked())
    const text = this.editing.refresh()
    if (text !== undefined) this.text.show(text)
    this.draw()
  }

  /** What is known of the chunks has changed. */
  refreshCells() {
    if (this.editing.replanned() && !this.editing.considered) this.foot.forget() // the price is news
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0
      this.draw()
    })
  }

  draw() {
    this.items = place(this.story).map((block) => ({ id: block.id, first: block.first, last: block.end, block }))
    const { locked, editing, host, strip } = this
    this.element.classList.toggle("magi-locked", locked)
    this.element.classList.toggle("magi-planned", host.cells().length > 0)
    this.text.setReadOnly(host.linked())
    for (const button of this.tools.querySelectorAll("button")) button.disabled = locked
    for (const [{ possible }, button] of this.deeds) button.disabled ||= possible?.(this) === false
    drawBanner(this.banner, editing, this.tab === "timeline" ? (line) => this.#goToText(line) : undefined)
    strip.draw()
    this.append.style.left = `${strip.left(this.items.at(-1)?.last ?? -1) + strip.chunkWidth}px`
    this.append.disabled = locked
    this.foot.draw()
  }

  /** @param {number} line */
  #goToText(line) {
    this.show("text")
    this.text.go(line)
  }

  // What is done ------------------------------------------------------------------------------------------------------

  /**
   * Do something to the story.
   * @param {Story} story
   * @param {readonly number[]} [select] ids that are selected then
   */
  do(story, select) {
    if (!this.editing.do(story)) return
    this.foot.forget()
    this.taken(select)
  }

  /**
   * The story is another one.
   * @param {readonly number[]} [select] ids that are selected
   */
  taken(select) {
    this.draw()
    if (select?.length) {
      this.strip.select(select)
      this.strip.reveal(this.strip.cursor)
    } else this.clipboard.selected()
  }

  /**
   * Show what a drag would come to, without doing it.
   * @param {Story} story
   */
  try(story) {
    this.strip.dragged = true
    this.editing.try(story)
    this.draw()
  }

  /**
   * Say what a drag would make stale, without showing it.
   * @param {Story} story
   */
  consider(story) {
    this.editing.consider(story)
    this.foot.say(warningOf(this.editing, story))
  }

  /** @param {boolean} keep what was tried or considered is done */
  decide(keep) {
    const { ids } = this
    this.strip.dragged = false
    this.foot.forget()
    if (this.editing.decide(keep)) this.taken(ids)
    else this.draw()
    this.editing.moves = false
  }

  /** @param {string} [tag] what of the window gets the keyboard */
  direct(tag) {
    if (!this.locked) directLines(this, tag)
  }

  /**
   * What another desk needs to take the place of this one.
   * @returns {Keepsake}
   */
  keepsake() {
    return { history: this.editing.history, tab: this.tab, view: viewOf(this.strip) }
  }

  /** @param {Keepsake} kept */
  adopt({ history, tab, view }) {
    this.editing.adopt(history)
    if (tab === "text") this.show("text")
    setView(this.strip, view)
  }

  /** Until all edits are in the widget. */
  settled() {
    return this.editing.sync.settled()
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
    this.foot.forget()
    this.foot.drawPrice()
    this.clipboard.selected()
  }
}
