// A loop plays by itself, silently and for ever, in the nodes that show one; ComfyUI would show its first frame.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const LATER = [300, 1000, 3000]; // milliseconds
const SHOWING = ["SaveCinemagraph", "LoopBlend"];

/** Whether a file is what one of our nodes showed last. */
function isOurs(filename) {
  const nodes = Object.entries(app.nodeOutputs ?? {});
  return nodes.some(([id, output]) => {
    // Inside a subgraph the id is "<subgraph>:<node>"; the node itself is not looked up then.
    const kind = app.graph?.getNodeById?.(Number(id))?.comfyClass;
    return (!kind || SHOWING.includes(kind)) && output?.images?.some((image) => image.filename === filename);
  });
}

function play(video) {
  if (!(video instanceof HTMLVideoElement) || !video.paused || video.dataset.t2cPlayed) return;
  const filename = new URL(video.currentSrc || video.src, location.href).searchParams.get("filename");
  if (!filename || !isOurs(filename)) return;
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  video.loop = true;
  video.muted = true; // there is no sound, and browsers play nothing else unasked
  video.dataset.t2cPlayed = "yes"; // whoever pauses it later wants it to stay so
  video.play().catch(() => {}); // refused by the browser's own rules: the button is still there
}

function playAll() {
  document.querySelectorAll("video").forEach(play);
}

app.registerExtension({
  name: "Text2Cinemagraph.PlayLoops",
  setup() {
    // Media events do not bubble, but they can be caught on their way down.
    document.addEventListener("loadeddata", (event) => play(event.target), true);
    // A video that was loaded before it was put into the page has had its event.
    api.addEventListener("executed", () => LATER.forEach((wait) => setTimeout(playAll, wait)));
  },
});
