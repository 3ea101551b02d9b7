// What can be done to the lines: by a tool, by the menu, by a key. One list for all three.
import * as model from "./story.js"

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
 * @property {(desk: Desk) => model.Story} [after] what comes of it, where it moves chunks
 */

/** By kind; null is a line between two kinds. @type {readonly (Deed | null)[]} */
export const DEEDS = [
  { word: "edit", shown: "Enter", keys: ["f2"], run: (desk) => desk.edit(desk.ids[0] ?? 0) },
  { word: "direct_menu", icon: "direct", shown: "M", keys: ["m"], run: (desk) => desk.direct() },
  { word: "reroll_once", icon: "reroll", shown: "R", keys: ["r"], run: (desk) => desk.reroll() },
  null,
  { word: "add", icon: "add", shown: "I", keys: ["i", "insert"], run: (desk) => desk.add() },
  { word: "add_before", shown: "Shift+I", keys: ["shift+i", "shift+insert"], run: (desk) => desk.add(true) },
  {
    word: "split",
    icon: "split",
    shown: "S",
    keys: ["s"],
    run: (desk) => desk.split(),
    possible: (desk) => model.split(desk.story, desk.strip.cursor) !== desk.story,
  },
  { word: "duplicate", icon: "duplicate", shown: "Ctrl+D", keys: ["ctrl+d"], run: (desk) => desk.duplicate() },
  { word: "remove", icon: "remove", shown: "Delete", keys: ["delete", "backspace"], run: (desk) => desk.remove() },
  null,
  { word: "longer", shown: "+", keys: ["+", "="], run: (desk) => desk.stretch(1) },
  { word: "shorter", shown: "−", keys: ["-"], run: (desk) => desk.stretch(-1) },
  {
    word: "earlier",
    shown: "Alt+←",
    keys: ["alt+arrowleft"],
    run: (desk) => desk.move(-1),
    after: (desk) => model.shift(desk.story, desk.ids, -1),
    possible: (desk) => model.shift(desk.story, desk.ids, -1) !== desk.story,
  },
  {
    word: "later",
    shown: "Alt+→",
    keys: ["alt+arrowright"],
    run: (desk) => desk.move(1),
    after: (desk) => model.shift(desk.story, desk.ids, 1),
    possible: (desk) => model.shift(desk.story, desk.ids, 1) !== desk.story,
  },
  null,
  {
    word: "undo",
    icon: "undo",
    shown: "Ctrl+Z",
    keys: ["ctrl+z"],
    menu: false,
    run: (desk) => desk.undo(),
    possible: (desk) => desk.history.past.length > 0,
  },
  {
    word: "redo",
    icon: "redo",
    shown: "Ctrl+Y",
    keys: ["ctrl+y", "ctrl+shift+z"],
    menu: false,
    run: (desk) => desk.redo(),
    possible: (desk) => desk.history.future.length > 0,
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
