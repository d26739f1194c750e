// The stack of canvases: picture, live preview, hints, and what is under the hand; each drawn only when it changes.

import { View } from "./geometry.js";
import { drawItems, paintStrokes, PAINT_OPACITY } from "./paint.js";

const MOST_DENSITY = 2;
const UNKNOWN = { width: 512, height: 512 };

function layer(name) {
  const canvas = document.createElement("canvas");
  canvas.className = `t2c-layer t2c-${name}`;
  return canvas;
}

export class Stage {
  constructor() {
    this.element = document.createElement("div");
    this.element.className = "t2c-stage";
    this.picture = layer("picture");
    this.live = layer("live");
    this.hints = layer("hints");
    this.hand = layer("hand");
    this.element.append(this.picture, this.live, this.hints, this.hand);
    this.strokes = document.createElement("canvas");
    this.scratch = document.createElement("canvas");
    this.image = null; // {source, width, height}: a bitmap and the size of the whole picture
    this.box = { width: 0, height: 0 };
    this.density = 1;
    this.view = new View(UNKNOWN, { width: 100, height: 100 });
    this.dirty = new Set();
    this.frame = 0;
    this.content = () => ({ hints: { arrows: [], pins: [], strokes: [] }, chosen: [] });
    this.drawHand = () => {};
    this.onView = () => {};
  }

  get layers() {
    return [this.picture, this.live, this.hints, this.hand];
  }

  /** Fit the canvases to the element; true if there is anything to draw on. */
  resize() {
    const width = this.element.clientWidth;
    const height = this.element.clientHeight;
    if (!width || !height) return false;
    // Inside a zoomed graph the element is scaled: draw as fine as it is seen.
    const seen = this.element.getBoundingClientRect().width / width || 1;
    const density = Math.min(MOST_DENSITY, Math.max(0.5, seen * (window.devicePixelRatio || 1)));
    const same = width === this.box.width && height === this.box.height;
    if (same && Math.abs(density - this.density) < 0.15) return true;
    this.box = { width, height };
    this.density = density;
    for (const canvas of [...this.layers, this.strokes, this.scratch]) {
      canvas.width = Math.round(width * density);
      canvas.height = Math.round(height * density);
    }
    this.view = same ? this.view : this.view.moved(this.box);
    this.viewChanged();
    return true;
  }

  setImage(image) {
    const old = this.view.picture;
    const size = image ?? UNKNOWN;
    this.image = image;
    if (size.width * old.height !== size.height * old.width) this.view = new View(size, this.box);
    this.viewChanged();
  }

  fit() {
    this.view = new View(this.view.picture, this.box);
    this.viewChanged();
  }

  viewChanged() {
    this.onView();
    this.redraw("picture", "strokes", "hints", "hand");
  }

  /** Ask for layers to be drawn with the next frame. */
  redraw(...names) {
    for (const name of names) this.dirty.add(name);
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  context(canvas, clear = true) {
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (clear) context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(this.density, 0, 0, this.density, 0, 0);
    return context;
  }

  draw() {
    this.frame = 0;
    if (!this.box.width && !this.resize()) return;
    const dirty = this.dirty;
    this.dirty = new Set();
    const { hints, chosen, faint } = this.content();
    if (dirty.has("picture")) this.drawPicture();
    if (dirty.has("strokes")) {
      paintStrokes(this.context(this.strokes), this.context(this.scratch), this.view, hints.strokes);
    }
    if (dirty.has("strokes") || dirty.has("hints")) {
      const context = this.context(this.hints);
      context.save();
      context.resetTransform();
      context.globalAlpha = PAINT_OPACITY * (faint ? 0.4 : 1);
      if (hints.strokes.length) context.drawImage(this.strokes, 0, 0);
      context.restore();
      context.globalAlpha = faint ? 0.35 : 1;
      drawItems(context, this.view, hints, chosen);
      context.globalAlpha = 1;
    }
    if (dirty.has("hand") || dirty.has("hints")) this.drawHand(this.context(this.hand));
  }

  drawPicture() {
    const context = this.context(this.picture);
    const { x, y, width, height } = this.view;
    if (this.image) {
      context.imageSmoothingQuality = "high";
      context.drawImage(this.image.source, x, y, width, height);
      return;
    }
    context.fillStyle = "rgba(128, 128, 128, 0.18)";
    context.fillRect(x, y, width, height);
  }
}
