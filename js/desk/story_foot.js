// The foot of the desk on Magi Storyboard: how a run goes, what was done or makes chunks anew, what the next run costs, and
// how long the video is.
import { part } from "./parts.js"
import { sentenceOf } from "./price_line.js"
import { clock } from "./ruler.js"
import { count } from "./story.js"
import { words } from "./story_words.js"

const FRAMES = 24 // of a chunk

export class StoryFoot {
  #said = "" // what was done last

  /** @param {import("./editing.js").Editing} editing */
  constructor(editing) {
    this.editing = editing
    this.going = part("span", "magi-going") // apart from what is said aloud: it changes every second
    this.price = part("span", "magi-price", { role: "status" })
    this.length = part("span", "magi-length")
    this.element = part("div", "magi-foot", {}, this.going, this.price, this.length)
  }

  draw() {
    const { story, host } = this.editing
    const chunks = count(story)
    const time = clock((chunks * FRAMES) / host.fps())
    this.length.textContent = words(chunks === 1 ? "one_chunk" : "length", { chunks, time })
    this.drawPrice()
  }

  drawPrice() {
    this.going.textContent = this.editing.host.going()
    const sentence = sentenceOf(this.editing, this.#said)
    if (this.price.textContent !== sentence) this.price.textContent = sentence
  }

  /** @param {string} sentence said until something else happens */
  say(sentence) {
    this.#said = sentence
    this.price.textContent = sentence
  }

  /** Something else has happened: it is shown with the next drawing. */
  forget() {
    this.#said = ""
  }
}
