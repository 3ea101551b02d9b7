// What can be done to the lines: by a tool, by the menu, by a key. One list for all three.
import * as edits from "./edits.js"
import * as undoing from "./history.js"
import { editWords } from "./line_editor.js"
import { count } from "./story.js"
import { words } from "./story_words.js"

/** @typedef {import("./storyboard.js").StoryboardDesk} Desk */

/**
 * @typedef {object} Deed
 * @property {import("./story_words.js").Word} word
 * @property {string} shown its key, as it is shown
 * @property {readonly string[]} keys as `chordOf` gives them
 * @property {(desk: Desk) => void} run
 * @property {import("./parts.js").Icon} [icon] of its tool; without one there is none
 * @property {false} [menu] false: not in the menu
 * @property {(desk: Desk) => boolean} [possible]
 * @property {(desk: Desk) => import("./story.js").Story} [after] what comes of it, where it moves chunks
 */

/** By kind; null is a line between two kinds. @type {readonly (Deed | null)[]} */
export const DEEDS = [
  { word: "edit", shown: "Enter", keys: ["f2"], run: (desk) => editWords(desk, desk.ids[0] ?? 0) },
  { word: "direct_menu", icon: "direct", shown: "M", keys: ["m"], run: (desk) => desk.direct() },
  { word: "reroll_once", icon: "reroll", shown: "R", keys: ["r"], run: (desk) => desk.do(edits.reroll(desk.story, desk.ids), desk.ids) },
  null,
  { word: "add", icon: "add", shown: "I", keys: ["i", "insert"], run: (desk) => add(desk) },
  { word: "add_before", shown: "Shift+I", keys: ["shift+i", "shift+insert"], run: (desk) => add(desk, true) },
  {
    word: "split",
    icon: "split",
    shown: "S",
    keys: ["s"],
    run: split,
    possible: (desk) => edits.split(desk.story, desk.strip.cursor) !== desk.story,
  },
  { word: "duplicate", icon: "duplicate", shown: "Ctrl+D", keys: ["ctrl+d"], run: (desk) => desk.do(...edits.duplicate(desk.story, desk.ids)) },
  { word: "remove", icon: "remove", shown: "Delete", keys: ["delete", "backspace"], run: remove },
  null,
  { word: "longer", shown: "+", keys: ["+", "="], run: (desk) => stretch(desk, 1) },
  { word: "shorter", shown: "−", keys: ["-"], run: (desk) => stretch(desk, -1) },
  {
    word: "earlier",
    shown: "Alt+←",
    keys: ["alt+arrowleft"],
    run: (desk) => desk.do(edits.shift(desk.story, desk.ids, -1), desk.ids),
    after: (desk) => edits.shift(desk.story, desk.ids, -1),
    possible: (desk) => edits.shift(desk.story, desk.ids, -1) !== desk.story,
  },
  {
    word: "later",
    shown: "Alt+→",
    keys: ["alt+arrowright"],
    run: (desk) => desk.do(edits.shift(desk.story, desk.ids, 1), desk.ids),
    after: (desk) => edits.shift(desk.story, desk.ids, 1),
    possible: (desk) => edits.shift(desk.story, desk.ids, 1) !== desk.story,
  },
  null,
  {
    word: "undo",
    icon: "undo",
    shown: "Ctrl+Z",
    keys: ["ctrl+z"],
    menu: false,
    run: (desk) => goTo(desk, undoing.undo(desk.editing.history), "undone"),
    possible: (desk) => desk.editing.history.past.length > 0,
  },
  {
    word: "redo",
    icon: "redo",
    shown: "Ctrl+Y",
    keys: ["ctrl+y", "ctrl+shift+z"],
    menu: false,
    run: (desk) => goTo(desk, undoing.redo(desk.editing.history), "redone"),
    possible: (desk) => desk.editing.history.future.length > 0,
  },
]

/**
 * The keys of an event as one word: "ctrl+shift+z". Of signs, shift is part of the sign.
 * @param {{ key: string, ctrlKey: boolean, metaKey: boolean, altKey: boolean, shiftKey: boolean }} event
 */
export function chordOf({ key, ctrlKey, metaKey, altKey, shiftKey }) {
  const named = /^[a-z]/i.test(key)
  const before = [(ctrlKey || metaKey) && "ctrl", altKey && "alt", shiftKey && named && "shift"].filter(Boolean)
  return [...before, key.toLowerCase()].join("+")
}

/** @param {Desk} desk */
export function addAtEnd(desk) {
  desk.strip.go(count(desk.story) - 1)
  add(desk)
}

/**
 * A new line, whose words are typed at once.
 * @param {Desk} desk
 * @param {boolean} [before] the selection, or else behind it
 */
export function add(desk, before = false) {
  const { story, ids } = desk
  const chosen = story.map(({ id }) => ids.includes(id))
  const index = before ? chosen.indexOf(true) : chosen.lastIndexOf(true) + 1
  const [longer, made] = edits.insert(story, Math.max(0, index))
  desk.do(longer, made)
  if (made[0] !== undefined) editWords(desk, made[0])
}

/** @param {Desk} desk */
export function remove(desk) {
  const { story, ids } = desk
  if (story.length === ids.length) desk.foot.say(words("last_line"))
  const left = edits.remove(story, ids)
  const next = Math.min(story.findIndex(({ id }) => ids.includes(id)), left.length - 1)
  desk.do(left, left === story ? undefined : [left[next]?.id ?? 0])
}

/** @param {Desk} desk */
function split(desk) {
  const { cursor } = desk.strip
  desk.do(edits.split(desk.story, cursor))
  desk.strip.go(cursor)
}

/**
 * @param {Desk} desk
 * @param {number} by chunks
 */
function stretch(desk, by) {
  const { ids } = desk
  const longer = (/** @type {import("./story.js").Story} */ story, /** @type {number} */ id) => {
    return edits.stretch(story, id, (story.find((each) => each.id === id)?.length ?? 1) + by)
  }
  desk.do(ids.reduce(longer, desk.story))
  desk.strip.reveal(desk.strip.cursor)
}

/**
 * @param {Desk} desk
 * @param {undoing.History} history
 * @param {import("./story_words.js").Word} word
 */
function goTo(desk, history, word) {
  const { editing } = desk
  if (desk.locked || history.now === editing.history.now) return
  editing.take(history)
  desk.taken()
  desk.foot.say(words(word))
}
