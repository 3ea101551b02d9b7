// Style sheets beside the modules that need them.

/**
 * Have the page use a style sheet, once however often it is asked for.
 * @param {string} address
 */
export function useStyles(address) {
  const links = /** @type {NodeListOf<HTMLLinkElement>} */ (document.querySelectorAll("link[rel=stylesheet]"))
  if ([...links].some((link) => link.href === address)) return
  document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: address }))
}
