// What stands above a storyboard where something is wrong: its text cannot be read, comes from elsewhere, is not written.
import { part } from "./parts.js"
import { words } from "./story_words.js"

/**
 * @param {HTMLElement} banner
 * @param {import("./editing.js").Editing} editing
 * @param {((line: number) => void) | undefined} go to a line of the text; undefined: the text is shown, and says it itself
 */
export function drawBanner(banner, { mistakes, failure, host }, go) {
  const [first] = mistakes
  banner.hidden = false
  banner.replaceChildren()
  if (host.linked()) banner.textContent = words("linked")
  else if (first && go) banner.append(part("span", "", { text: `${words("not_read")}. ` }), mistakeLink(first, go))
  else if (failure) banner.textContent = words("not_written", { why: failure })
  else banner.hidden = true
}

/**
 * @param {import("../magi/api.js").Mistake} mistake
 * @param {(line: number) => void} go
 */
function mistakeLink({ line, message }, go) {
  const place = line === null || message.startsWith(`line ${line}`) ? message : words("at_line", { line, message })
  const link = part("button", "magi-link", { type: "button", text: place })
  link.addEventListener("click", () => go(line ?? 1))
  return link
}
