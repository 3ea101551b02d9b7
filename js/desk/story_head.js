// The head of the desk on Magi Storyboard: its tabs and its tools.
import { DEEDS } from "./deeds.js"
import { openMenu } from "./direct.js"
import { iconButton, part } from "./parts.js"
import { words } from "./story_words.js"
import { fit, setChunkWidth } from "./strip_zoom.js"

/** @typedef {import("./storyboard.js").StoryboardDesk} Desk */

const ZOOM = 1.35
/** Tools that a narrow node has in its menu only. @type {ReadonlySet<string>} */
const MINOR = new Set(["reroll_once", "split", "duplicate", "narrower", "wider"])
/** Those that a very narrow one has there, too. @type {ReadonlySet<string>} */
const MAIN = new Set(["direct_menu", "remove", "undo", "redo", "fit"])

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
    button.classList.toggle("magi-main", MAIN.has(word))
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
  for (const { icon, word, run } of views(desk)) tool(icon, word, run)
  const more = iconButton("more", words("more_tools"), () => openTools(desk, more))
  more.classList.add("magi-more-tools")
  more.ariaHasPopup = "menu"
  tools.append(more)
  return { tools, deeds }
}

/**
 * How much of the time is seen.
 * @param {Desk} desk
 */
function views({ strip }) {
  return /** @type {const} */ ([
    { icon: "narrower", word: "narrower", run: () => setChunkWidth(strip, strip.chunkWidth / ZOOM) },
    { icon: "fit", word: "fit", run: () => fit(strip) },
    { icon: "wider", word: "wider", run: () => setChunkWidth(strip, strip.chunkWidth * ZOOM) },
  ])
}

/**
 * All tools as a menu, for a node that is too narrow to show them.
 * @param {Desk} desk
 * @param {HTMLElement} button
 */
function openTools(desk, button) {
  const deeds = DEEDS.filter((deed) => deed?.icon).map((deed) => {
    const { word, shown, run, possible } = /** @type {import("./deeds.js").Deed} */ (deed)
    return { name: words(word), keys: shown, run: () => run(desk), possible: possible?.(desk) !== false }
  })
  const { left, bottom } = button.getBoundingClientRect()
  const seeing = views(desk).map(({ word, run }) => ({ name: words(word), run }))
  openMenu([...deeds, null, ...seeing], [left, bottom + 2], () => {
    if (!desk.endEdit && !document.querySelector(".magi-popover")) desk.strip.focus()
  })
}
