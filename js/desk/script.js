// Scripts from elsewhere: one line for each chunk, with the numbers, bullets and times that people put in front.

const FRONT = /^\s*(?:[-*•·–—]\s+|[([]?\d{1,4}[.)\]、）]\s*|[([]?(?:\d{1,2}:)?\d{1,2}:\d{2}(?:[.,]\d+)?[)\]]?\s*(?:[-–—]\s*)?)+/

/**
 * The prompts of a script; undefined where nothing stands in front of any line, so that it is none of these.
 * @param {string} text
 * @returns {string[] | undefined}
 */
export function promptsOf(text) {
  const lines = text.split(/\r\n?|\n/).map((line) => line.trim())
  const prompts = lines.map((line) => line.replace(FRONT, "").trim() || line)
  return prompts.some((prompt, i) => prompt !== lines[i]) ? prompts.filter(Boolean) : undefined
}
