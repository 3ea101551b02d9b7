// Lines on the clipboard: out as the text of a storyboard, in from a storyboard or a script.
import { remove } from "./deeds.js"
import { insert } from "./edits.js"
import { promptsOf } from "./script.js"
import { linesOf } from "./story.js"
import { words } from "./story_words.js"

const PAUSE = 100 // milliseconds that a selection stays until its text is asked for

/** @typedef {import("../magi/api.js").Line} Line */

export class StoryClipboard {
  #text = ""
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #pause
  #turn = 0

  /** @param {import("./storyboard.js").StoryboardDesk} desk */
  constructor(desk) {
    this.desk = desk
    const { keys } = desk.strip
    keys.addEventListener("copy", (event) => this.#copy(event))
    keys.addEventListener("cut", (event) => {
      this.#copy(event)
      remove(desk)
    })
    keys.addEventListener("paste", (event) => {
      event.preventDefault()
      void this.paste(event.clipboardData?.getData("text/plain") ?? "")
    })
  }

  /** Other lines are selected: have their text at hand, since a copy cannot wait for the server. */
  selected() {
    const turn = ++this.#turn
    this.#text = ""
    clearTimeout(this.#pause)
    this.#pause = setTimeout(async () => {
      const { desk } = this
      const lines = linesOf(desk.story, desk.ids)
      if (!lines.length) return
      const text = await desk.host.write(lines, "text", desk.strip.fps).catch(() => "") // JSON is copied then
      if (turn === this.#turn) this.#text = text
    }, PAUSE)
  }

  /** @param {ClipboardEvent} event */
  #copy(event) {
    const { desk } = this
    const lines = linesOf(desk.story, desk.ids)
    event.clipboardData?.setData("text/plain", this.#text || asJson(lines))
    event.preventDefault()
    desk.foot.say(words(lines.length === 1 ? "copied_one" : "copied", { n: lines.length }))
  }

  /** @param {string} text a storyboard, a numbered script, or one line for each chunk */
  async paste(text) {
    const { desk } = this
    if (desk.locked || !text.trim()) return
    try {
      const { lines, errors } = await this.#read(text)
      if (!lines?.length) return desk.foot.say(words("not_pasted", { why: errors?.[0]?.message ?? "" }))
      const { story, ids } = desk
      const index = story.map(({ id }) => ids.includes(id)).lastIndexOf(true) + 1
      const bare = lines.map(({ source: _source, ...line }) => line)
      desk.do(...insert(story, index, bare))
      desk.foot.say(words(lines.length === 1 ? "pasted_one" : "pasted", { n: lines.length }))
    } catch (error) {
      desk.foot.say(words("not_pasted", { why: error instanceof Error ? error.message : String(error) }))
    }
  }

  /** @param {string} text */
  async #read(text) {
    const { host, strip } = this.desk
    const read = await host.read(text, strip.fps)
    const chunks = read.lines ? undefined : promptsOf(text)?.map((prompt) => ({ prompt }))
    return chunks ? host.read(JSON.stringify({ chunks }), strip.fps) : read
  }
}

/** @param {readonly Line[]} lines */
function asJson(lines) {
  const chunks = lines.map(({ first, last, ...said }) => ({ at: first === last ? first : `${first}-${last}`, ...said }))
  return JSON.stringify({ chunks }, null, 2)
}
