// The extension: gives every Motion Hints node its editor and keeps both in step.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { MotionEditor } from "./editor/editor.js";
import { NodeLink } from "./editor/node_link.js";
import { loadWords } from "./editor/words.js";

const NODE = "MotionHints";
const SMALLEST = [400, 470];

function addStyle() {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL("./editor/editor.css", import.meta.url).href;
  document.head.append(link);
}

/** Fingers on the stage are the editor's: ComfyUI would zoom the graph with them, and listens before the stage does. */
function keepTouches() {
  for (const name of ["touchstart", "touchmove", "touchend", "touchcancel"]) {
    const keep = (event) => event.target.closest?.(".t2c-stage") && event.stopPropagation();
    window.addEventListener(name, keep, { capture: true, passive: true });
  }
}

app.registerExtension({
  name: "Text2Cinemagraph.MotionHints",

  async setup() {
    addStyle();
    keepTouches();
    await loadWords(api, app.extensionManager?.setting?.get("Comfy.Locale")).catch((error) => {
      console.warn("Text2Cinemagraph: the editor stays English:", error);
    });
  },

  nodeCreated(node) {
    if (node.comfyClass !== NODE) return;
    const link = new NodeLink(app, api, node, new MotionEditor());
    link.attach();
    node.setSize([Math.max(node.size[0], SMALLEST[0]), Math.max(node.size[1], SMALLEST[1])]);
  },
});
