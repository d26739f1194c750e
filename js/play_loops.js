// A loop plays by itself, silently and for ever, in the nodes that show one; ComfyUI would show its first frame.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const NODES = ["SaveCinemagraph", "LoopBlend"];
const RETRIES = [300, 1000, 3000]; // milliseconds after a node has run

/**
 * Whether a file is what one of our nodes showed last.
 * @param {string} filename
 */
function isOurs(filename) {
  return Object.entries(app.nodeOutputs ?? {}).some(([id, output]) => {
    // Inside a subgraph the id is "<subgraph>:<node>"; the node itself is not looked up then.
    const kind = app.rootGraph?.getNodeById(Number(id))?.comfyClass;
    return (!kind || NODES.includes(kind)) && output?.images?.some((image) => image.filename === filename);
  });
}

/** @param {EventTarget | null} video */
function play(video) {
  if (!(video instanceof HTMLVideoElement) || !video.paused || video.dataset.t2cPlayed) return;
  const filename = new URL(video.currentSrc || video.src, location.href).searchParams.get("filename");
  if (!filename || !isOurs(filename)) return;
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  video.loop = true;
  video.muted = true; // there is no sound, and browsers play nothing else unasked
  video.dataset.t2cPlayed = "yes"; // whoever pauses it later wants it to stay so
  video.play().catch(() => {}); // refused by the browser's rules: the button is still there
}

function playAll() {
  document.querySelectorAll("video").forEach(play);
}

app.registerExtension({
  name: "Text2Cinemagraph.PlayLoops",
  /** @param {any} node */
  nodeCreated(node) {
    if (!NODES.includes(node.comfyClass)) return;
    const { onExecuted } = node;
    node.onExecuted = function (/** @type {any} */ output) {
      // A subgraph that shows this node's preview asks for it.
      this.previewMediaType = /\.(mp4|webm)$/i.test(output?.images?.[0]?.filename ?? "") ? "video" : "image";
      return onExecuted?.apply(this, arguments);
    };
  },
  setup() {
    // Media events do not bubble, but they can be caught on their way down.
    document.addEventListener("loadeddata", (event) => play(event.target), true);
    // A video that was loaded before it was put into the page has had its event.
    api.addEventListener("executed", () => RETRIES.forEach((delay) => setTimeout(playAll, delay)));
  },
});
