// The live preview: streaks or the moving image, drawn on a layer of the stage while it can be seen.

import { clamp } from "./geometry.js";
import { settings } from "./settings.js";
import { Streaks } from "./streaks.js";
import { CanvasWarp } from "./warp_canvas.js";
import { GlWarp } from "./warp_gl.js";

/** @import { MotionField } from "./motion_field.js" */
/** @import { Loop } from "./settings.js" */
/** @import { SourceImage } from "./source_image.js" */
/** @import { Stage } from "./stage.js" */
/** @typedef {(typeof MODES)[number]} LiveMode */

export const MODES = /** @type {const} */ (["off", "streaks", "warp"]);
const MAX_RATE = 30; // frames of the preview per second
const SLOW = 26; // milliseconds between the page's frames from which on the preview is drawn coarser
const SMOOTH = 19;
const MIN_RESOLUTION = 0.2;
const STREAK_SPEED = 4; // times the loop's, or slow water would show dots

/** The best warp this browser can do. */
function makeWarp() {
  try {
    return new GlWarp();
  } catch {
    return new CanvasWarp();
  }
}

export class LivePreview {
  /** @param {Stage} stage */
  constructor(stage) {
    this.stage = stage;
    /** @type {LiveMode} */
    this.mode = "off";
    /** @type {MotionField | null} */
    this.field = null;
    /** @type {Loop} */
    this.loop = settings.loop;
    this.streaks = new Streaks();
    /** @type {GlWarp | CanvasWarp | null} */
    this.warp = null;
    this.resolution = 1;
    this.animationFrame = 0;
    this.lastDraw = 0;
    this.lastTick = 0;
    this.meanInterval = SMOOTH;
  }

  /** @param {LiveMode} mode */
  setMode(mode) {
    this.mode = mode;
    this.clear();
    if (mode === "warp") this.setImage(this.stage.image);
    if (mode === "off") this.stop();
    else this.start();
  }

  /** @param {MotionField} field */
  setField(field) {
    this.field = field;
    this.streaks.setField(field);
    this.warp?.setField(field);
  }

  /** @param {SourceImage | null} image */
  setImage(image) {
    if (this.mode !== "warp" || !image) return;
    this.warp ??= makeWarp();
    this.warp.setImage(image.source);
    if (this.field) this.warp.setField(this.field);
  }

  clear() {
    this.stage.context(this.stage.live);
  }

  start() {
    if (this.animationFrame || this.mode === "off") return;
    this.animationFrame = requestAnimationFrame((now) => this.tick(now));
  }

  stop() {
    cancelAnimationFrame(this.animationFrame);
    this.animationFrame = 0;
  }

  release() {
    this.stop();
    this.warp?.release();
    this.warp = null;
  }

  /** @param {number} now milliseconds */
  tick(now) {
    this.animationFrame = 0;
    const { element } = this.stage;
    if (!element.isConnected) return;
    this.start();
    if (!this.field || !element.offsetParent) return;
    this.adaptResolution(now);
    // In script a coarser image is not cheaper, but fewer of them are.
    const rate = this.warp instanceof CanvasWarp ? MAX_RATE * this.resolution : MAX_RATE;
    if (now - this.lastDraw < 1000 / rate - 4) return;
    this.lastDraw = now;
    if (this.mode === "streaks") {
      const context = this.stage.context(this.stage.live, false);
      this.streaks.draw(context, this.stage.view, STREAK_SPEED * this.loop.speed);
    } else if (this.warp && this.stage.image) {
      this.drawWarp(this.warp, now);
    }
  }

  /**
   * Coarser while the page stutters: what a graphics card draws in a moment takes long without one.
   * @param {number} now
   */
  adaptResolution(now) {
    const interval = Math.min(200, now - this.lastTick);
    this.lastTick = now;
    this.meanInterval += 0.2 * (interval - this.meanInterval);
    if (this.meanInterval > SLOW) this.resolution = clamp(this.resolution * 0.92, MIN_RESOLUTION, 1);
    else if (this.meanInterval < SMOOTH) this.resolution = Math.min(1, this.resolution * 1.005);
  }

  /**
   * @param {GlWarp | CanvasWarp} warp
   * @param {number} now
   */
  drawWarp(warp, now) {
    const { frames, frame_rate: rate, speed } = this.loop;
    const { live, box, view } = this.stage;
    const phase = (((now / 1000) * rate) % frames) / frames;
    const width = Math.max(16, Math.round(live.width * this.resolution));
    const height = Math.max(16, Math.round(live.height * this.resolution));
    const canvas = warp.draw(phase, frames * speed, { view, box, width, height });
    const context = this.stage.context(live);
    if (warp instanceof CanvasWarp) context.drawImage(canvas, view.x, view.y, view.width, view.height);
    else context.drawImage(canvas, 0, 0, box.width, box.height);
  }
}
