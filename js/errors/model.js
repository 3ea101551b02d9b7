// What is said of a node that failed while it ran.

/** @typedef {import("../magi/api.js").Failure} Failure */

/**
 * Title and sentence for the user, where this pack wrote the sentence for them; undefined for anything else.
 * @param {Failure} failure
 * @param {string} title how the node is called
 */
export function sentenceOf({ exception_type, exception_message }, title) {
  if (!/(^|\.)MagiError$/.test(exception_type)) return undefined
  return { summary: title, detail: exception_message.trim() }
}
