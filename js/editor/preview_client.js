// Asks the server's solver for the motion field of a small copy of the image, once the hand rests.

import { fitWithin, resized } from "./canvas.js";
import { formatHints } from "./hints.js";
import { settings } from "./settings.js";

/** @import { NodeSettings } from "./downstream.js" */
/** @import { Hints } from "./hints.js" */
/** @import { PreviewAnswer } from "./motion_field.js" */
/** @import { SourceImage } from "./source_image.js" */

const ROUTE = "/text2cinemagraph/preview";
const MAX_SIDE = 256; // enough for streaks, and answered in half a second
const QUALITY = 0.92;
const REST = 350; // milliseconds without a change before the server is asked

/** The last request of one editor; a newer one takes its place, here and on the server. */
export class PreviewClient {
  /** @param {Comfy.Api} api */
  constructor(api) {
    this.api = api;
    // crypto.randomUUID is missing where the page came without TLS.
    this.session = Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(16)).join("-");
    this.timer = 0;
    this.controller = new AbortController();
    this.onAnswer = (/** @type {PreviewAnswer} */ _answer) => {};
    this.onError = (/** @type {string} */ _reason) => {};
  }

  cancel() {
    clearTimeout(this.timer);
    this.controller.abort();
  }

  /**
   * @param {SourceImage} image
   * @param {Hints} hints
   * @param {() => NodeSettings} nodeSettings looked up when the request is sent
   */
  requestLater(image, hints, nodeSettings) {
    this.cancel();
    this.timer = setTimeout(() => this.request(image, hints, nodeSettings()), REST);
  }

  /**
   * @param {SourceImage} image
   * @param {Hints} hints
   * @param {NodeSettings} nodeSettings
   */
  async request(image, hints, nodeSettings) {
    this.controller = new AbortController();
    const { signal } = this.controller;
    try {
      const { min_side: min, max_side: max } = settings.preview;
      const [width, height] = fitWithin(image, Math.min(MAX_SIDE, max), min);
      const jpeg = resized(image.source, width, height).toDataURL("image/jpeg", QUALITY).split(",")[1];
      const response = await this.api.fetchApi(`${ROUTE}?session=${this.session}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({
          picture: jpeg,
          hints: formatHints(hints),
          settings: nodeSettings,
          scale: Math.min(1, width / image.width),
        }),
        signal,
      });
      const answer = await response.json().catch(() => ({}));
      if (signal.aborted) return;
      if (response.ok) this.onAnswer(answer);
      else this.onError(answer.error ?? `HTTP ${response.status}`);
    } catch (error) {
      if (!signal.aborted) this.onError(error instanceof Error ? error.message : String(error));
    }
  }
}
