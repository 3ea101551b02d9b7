// The head of the desk on Magi Storyboard: its tabs and its tools.
import { DEEDS } from "./deeds.js"
import { iconButton, part } from "./parts.js"
import { words } from "./story_words.js"

/** @typedef {import("./storyboard.js").StoryboardDesk} Desk */

const ZOOM = 1.35
/** Tools that a narrow node has in its menu only. @type {ReadonlySet<string>} */
const MINOR = new Set(["reroll_once", "split", "duplicate", "narrower", "wider"])

/** @param {Desk} desk */
export function makeTabs(desk) {
  const tabs = part("div", "magi-tabs", { role: "tablist", "aria-label": words("storyboard") })
  for (const tab of /** @type {const} */ (["timeline", "text"])) {
    const button = part("button", "magi-tab", { type: "button", role: "tab", "data-tab": tab, text: words(tab) })
    button.addEventListener("click", () => desk.show(tab))
    tabs.append(button)
  }
  tabs.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return
    desk.show(desk.tab === "text" ? "timeline" : "text")
    const chosen = tabs.querySelector("[aria-selected=true]")
    if (chosen instanceof HTMLElement) chosen.focus()
  })
  return tabs
}

/**
 * @param {Desk} desk
 * @returns {{ tools: HTMLElement, deeds: Map<import("./deeds.js").Deed, HTMLButtonElement> }}
 */
export function makeTools(desk) {
  const tools = part("div", "magi-tools", { role: "toolbar", "aria-label": words("timeline") })
  /**
   * @param {import("./parts.js").Icon} name
   * @param {import("./story_words.js").Word} word
   * @param {() => void} press
   * @param {string} [keys]
   */
  const tool = (name, word, press, keys) => {
    const button = iconButton(name, keys ? `${words(word)} (${keys})` : words(word), press)
    button.classList.toggle("magi-minor", MINOR.has(word))
    tools.append(button)
    return button
  }
  const deeds = new Map()
  let next = false // the next tool begins a kind
  for (const deed of DEEDS) {
    if (!deed) next = true
    else if (deed.icon) {
      if (next) tools.append(part("span", "magi-gap"))
      next = false
      deeds.set(deed, tool(deed.icon, deed.word, () => deed.run(desk), deed.shown))
    }
  }
  tools.append(part("span", "magi-space"))
  tool("narrower", "narrower", () => desk.strip.setChunkWidth(desk.strip.chunkWidth / ZOOM))
  tool("fit", "fit", () => desk.strip.fit())
  tool("wider", "wider", () => desk.strip.setChunkWidth(desk.strip.chunkWidth * ZOOM))
  return { tools, deeds }
}
