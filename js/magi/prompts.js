// Whose prompt it is. Events name nodes by numbers, which another open workflow uses as well.

/**
 * Tells which workflow queued a prompt. Where the server does not say, it is the one that is shown when the answer comes.
 *
 * The answers come in the order of the questions, so that events keep theirs.
 * @param {() => string} shown id of the workflow that is shown
 * @param {(promptId: string) => Promise<string | undefined>} workflowOf asked once for a prompt
 * @returns {(promptId: string) => Promise<string>}
 */
export function workflowsOfPrompts(shown, workflowOf) {
  let asked = ""
  /** @type {Promise<string | undefined>} */
  let answer = Promise.resolve(undefined)
  return async (promptId) => {
    if (promptId !== asked) {
      asked = promptId
      answer = Promise.all([workflowOf(promptId), answer]).then(([workflow]) => workflow)
    }
    return (await answer) ?? shown()
  }
}

/**
 * Tells whether the workflow that is shown when the answer comes queued a prompt.
 * @param {() => string} shown
 * @param {(promptId: string) => Promise<string | undefined>} workflowOf asked once for a prompt
 * @returns {(promptId: string) => Promise<boolean>}
 */
export function promptsOfShown(shown, workflowOf) {
  const whose = workflowsOfPrompts(shown, workflowOf)
  return async (promptId) => (await whose(promptId)) === shown()
}
