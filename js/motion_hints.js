// The extension: gives every Motion Hints node its editor and keeps both in step.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { MotionEditor } from "./editor/editor.js";
import { loadTranslations } from "./editor/i18n.js";
import { NodeBinding } from "./editor/node_binding.js";
import { loadSettings } from "./editor/settings.js";

const NODE = "MotionHints";
const [MIN_WIDTH, MIN_HEIGHT] = [400, 470];
const TOUCHES = /** @type {const} */ (["touchstart", "touchmove", "touchend", "touchcancel"]);

let ready = false;

function addStyle() {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL("./editor/editor.css", import.meta.url).href;
  document.head.append(link);
}

/** Fingers on the stage are the editor's: ComfyUI would zoom the graph with them, and listens before the stage does. */
function keepTouches() {
  /** @param {TouchEvent} event */
  const keep = (event) => {
    if (event.target instanceof Element && event.target.closest(".t2c-stage")) event.stopPropagation();
  };
  for (const name of TOUCHES) window.addEventListener(name, keep, { capture: true, passive: true });
}

app.registerExtension({
  name: "Text2Cinemagraph.MotionHints",

  async setup() {
    addStyle();
    keepTouches();
    try {
      const language = /** @type {string | undefined} */ (app.extensionManager?.setting?.get("Comfy.Locale"));
      await Promise.all([loadSettings(api), loadTranslations(api, language)]);
      ready = true;
    } catch (error) {
      console.warn("Text2Cinemagraph: Motion Hints stays a text field, as the server did not give the editor", error);
    }
  },

  nodeCreated(node) {
    if (node.comfyClass !== NODE || !ready) return;
    new NodeBinding(app, api, node, new MotionEditor()).attach();
    node.setSize([Math.max(node.size[0], MIN_WIDTH), Math.max(node.size[1], MIN_HEIGHT)]);
  },
});
