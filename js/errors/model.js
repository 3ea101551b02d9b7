// What is said of a node that failed while it ran, or that refused what it was given before that.

/** @typedef {import("../magi/api.js").Failure} Failure */
/** @typedef {import("../magi/api.js").Refusal} Refusal */
/** @typedef {{ summary: string, detail: string }} Sentence */

/**
 * Title and sentence for the user, where this pack wrote the sentence for them; undefined for anything else.
 * @param {Failure} failure
 * @param {string} title how the node is called
 * @returns {Sentence | undefined}
 */
export function sentenceOf({ exception_type, exception_message }, title) {
  if (!/(^|\.)MagiError$/.test(exception_type)) return undefined
  return { summary: title, detail: exception_message.trim() }
}

/**
 * The same of an input that was refused when the graph was queued.
 * @param {Refusal} refusal
 * @param {string} title how the node is called
 * @returns {Sentence | undefined}
 */
export function sentenceOfRefusal({ class_type, type, details }, title) {
  if (!class_type.startsWith("Magi") || type !== "custom_validation_failed") return undefined
  return { summary: title, detail: details.replace(/^\w+ - /, "").trim() } // ComfyUI puts the input's name first
}
