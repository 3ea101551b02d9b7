// The desk: which node gets what.
import { app } from "../../../scripts/app.js"
import { introduceEvents } from "../magi/api.js"
import { listen, recall } from "./live.js"
import { showAll, showOnSamplers } from "./sampling.js"
import { addDesk, settleDesks, showOnStoryboards } from "./story_node.js"
import { speak } from "./words.js"

introduceEvents() // a page that is loaded during a run hears of it before it is set up
app.registerExtension({ name: "magi.desk", setup, nodeCreated: addDesk, afterConfigureGraph })

function setup() {
  speak(() => String(app.extensionManager?.setting?.get("Comfy.Locale") ?? "en"))
  listen()
  showOnSamplers()
  showOnStoryboards()
}

function afterConfigureGraph() {
  showAll()
  settleDesks()
  void recall()
}
