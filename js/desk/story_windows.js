// What the pointer opens and drags on the lines of a storyboard.
import { DEEDS } from "./deeds.js"
import { openDirect, openMenu } from "./direct.js"
import { dragOn } from "./drag.js"
import { direct, move, stretch } from "./edits.js"
import { warningOf } from "./price_line.js"
import { place } from "./story.js"
import { placeInWords, words } from "./story_words.js"

/** @typedef {import("./storyboard.js").StoryboardDesk} Desk */

/**
 * A window to direct the selected lines.
 * @param {Desk} desk
 * @param {string} [tag] what of it gets the keyboard
 */
export function directLines(desk, tag) {
  const item = desk.strip.focused
  if (!item) return
  const { ids } = desk
  const chosen = desk.items.filter(({ id }) => ids.includes(id))
  const line = (desk.strip.cellOf(item.id) ?? desk.strip.element).getBoundingClientRect()
  const { left, right, bottom } = desk.strip.element.getBoundingClientRect() // with the chunks under the line
  openDirect({
    where: placeInWords(chosen[0]?.first ?? 0, chosen.at(-1)?.block.last ?? 0),
    said: () => desk.editing.history.now.find(({ id }) => id === ids[0]) ?? { prompt: "" },
    change: (said) => desk.do(direct(desk.editing.history.now, ids, said)),
    closed: () => desk.strip.focus(),
    avoid: { left: Math.max(line.left, left), top: line.top, right: Math.min(line.right, right), bottom },
    tag,
  })
}

/**
 * The menu of what can be done, at a place in the window.
 * @param {Desk} desk
 * @param {number} x
 * @param {number} y
 */
export function openMenuOf(desk, x, y) {
  const actions = DEEDS.filter((deed) => deed?.menu !== false).map((deed) => {
    if (!deed) return null
    const { word, shown, run, possible, after } = deed
    const can = !desk.locked && possible?.(desk) !== false
    return { name: words(word), keys: shown, run: () => run(desk), possible: can, hint: after && warningOf(desk.editing, after(desk)) }
  })
  openMenu(
    actions.slice(0, actions.lastIndexOf(null)), // the last line has nothing below
    [x, y],
    () => {
      if (!desk.endEdit && !document.querySelector(".magi-popover")) desk.strip.focus()
    },
  )
}

/**
 * Let lines be stretched and moved by the pointer.
 * @param {Desk} desk
 */
export function dragLines(desk) {
  dragOn(desk.strip, {
    blocks: () => place(desk.editing.history.now),
    locked: () => desk.locked,
    stretching: (id, length) => desk.try(stretch(desk.editing.history.now, id, length)),
    moving: (index) => {
      desk.element.classList.add("magi-moving")
      desk.consider(move(desk.editing.history.now, desk.ids, index))
    },
    dropped: (keep) => {
      desk.element.classList.remove("magi-moving")
      desk.decide(keep)
    },
    mark: (_, tag) => desk.direct(tag === "direct" ? undefined : tag),
  })
}
