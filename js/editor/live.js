// The live preview: streaks or the moving picture, drawn on the stage's own layer while it can be seen.

import { Streaks } from "./streaks.js";
import { CanvasWarp } from "./warp_canvas.js";
import { GlWarp } from "./warp_gl.js";

export const MODES = ["off", "streaks", "picture"];
const SLOW = 26; // milliseconds between the page's frames from which on the preview is drawn coarser
const SMOOTH = 19;
const COARSEST = 0.2;
const RATE = 30; // frames of the preview per second, at most

/** The best warp this browser can do. */
export function makeWarp() {
  try {
    return new GlWarp();
  } catch {
    return new CanvasWarp();
  }
}

export class LivePreview {
  constructor(stage) {
    this.stage = stage;
    this.mode = "off";
    this.field = null;
    this.loop = { frames: 60, rate: 30, speed: 1 };
    this.streaks = new Streaks();
    this.warp = null;
    this.fineness = 1;
    this.frame = 0;
    this.drawn = 0;
    this.last = 0;
    this.tickedAt = 0;
    this.pace = SMOOTH;
  }

  setMode(mode) {
    this.mode = mode;
    this.clear();
    if (mode === "picture") this.setImage(this.stage.image);
    if (mode === "off") this.stop();
    else this.start();
  }

  setField(field) {
    this.field = field;
    this.streaks.setField(field);
    this.warp?.setField(field);
  }

  setImage(image) {
    if (this.mode !== "picture" || !image) return;
    this.warp ??= makeWarp();
    this.warp.setPicture(image.source);
    if (this.field) this.warp.setField(this.field);
  }

  /** loop: {frames, rate, speed} of the nodes downstream. */
  setLoop(loop) {
    this.loop = loop;
  }

  clear() {
    this.stage.context(this.stage.live);
  }

  start() {
    if (!this.frame && this.mode !== "off") this.frame = requestAnimationFrame((now) => this.tick(now));
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  release() {
    this.stop();
    this.warp?.release();
    this.warp = null;
  }

  tick(now) {
    this.frame = 0;
    const { element } = this.stage;
    if (!element.isConnected) return;
    this.start();
    if (!this.field || !element.offsetParent) return;
    this.adapt(now);
    if (now - this.last < 1000 / RATE - 4) return;
    this.last = now;
    if (this.mode === "streaks") {
      const context = this.stage.context(this.stage.live, false);
      // Somewhat faster than the loop itself, or slow water would show dots.
      this.streaks.draw(context, this.stage.view, 4 * this.loop.speed);
    } else if (this.warp && this.stage.image) {
      this.drawPicture(now);
    }
    this.drawn += 1;
  }

  /** Coarser while the page stutters: what a graphics card draws in a moment takes long without one. */
  adapt(now) {
    const interval = Math.min(200, now - this.tickedAt);
    this.tickedAt = now;
    this.pace += 0.2 * (interval - this.pace);
    if (this.pace > SLOW) this.fineness = Math.max(COARSEST, this.fineness * 0.92);
    else if (this.pace < SMOOTH) this.fineness = Math.min(1, this.fineness * 1.005);
  }

  drawPicture(now) {
    const { frames, rate, speed } = this.loop;
    const { stage } = this;
    const { live, box, view } = stage;
    const phase = ((now / 1000) * rate % frames) / frames;
    const width = Math.max(16, Math.round(live.width * this.fineness));
    const height = Math.max(16, Math.round(live.height * this.fineness));
    const drawn = this.warp.draw(phase, frames * speed, { view, box, width, height });
    const context = stage.context(live);
    if (this.warp instanceof CanvasWarp) context.drawImage(drawn, view.x, view.y, view.width, view.height);
    else context.drawImage(drawn, 0, 0, box.width, box.height);
  }
}
