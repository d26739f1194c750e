// The stack of canvases: image, live preview, hints, and what is being drawn; each redrawn only when it changes.

import { context2d } from "./canvas.js";
import { drawItems, paintStrokes, PAINT_OPACITY } from "./draw_hints.js";
import { clamp, View } from "./geometry.js";
import { emptyHints } from "./hints.js";

/** @import { Hints } from "./hints.js" */
/** @import { Item } from "./items.js" */
/** @import { SourceImage } from "./source_image.js" */
/** @typedef {"image" | "strokes" | "hints" | "overlay"} Layer */
/** @typedef {{ hints: Hints, selection: Item[], dimmed: boolean }} Content */

const MAX_DENSITY = 2; // device pixels per CSS pixel
const MIN_DENSITY = 0.5;
const UNKNOWN = { width: 512, height: 512 };
const DIMMED_PAINT = 0.4;
const DIMMED_ITEMS = 0.35;

/** @param {string} name */
function makeLayer(name) {
  const canvas = document.createElement("canvas");
  canvas.className = `t2c-layer t2c-${name}`;
  return canvas;
}

export class Stage {
  constructor() {
    this.element = document.createElement("div");
    this.element.className = "t2c-stage";
    this.backdrop = makeLayer("image");
    this.live = makeLayer("live");
    this.hints = makeLayer("hints");
    this.overlay = makeLayer("overlay");
    this.layers = [this.backdrop, this.live, this.hints, this.overlay];
    this.element.append(...this.layers);
    this.strokes = document.createElement("canvas");
    this.scratch = document.createElement("canvas");
    /** @type {SourceImage | null} */
    this.image = null;
    this.box = { width: 0, height: 0 };
    this.density = 1;
    this.view = new View(UNKNOWN, { width: 100, height: 100 });
    /** @type {Set<Layer>} */
    this.dirty = new Set();
    this.animationFrame = 0;
    /** @type {() => Content} */
    this.getContent = () => ({ hints: emptyHints(), selection: [], dimmed: false });
    this.drawOverlay = (/** @type {CanvasRenderingContext2D} */ _context) => {};
    this.onViewChange = () => {};
  }

  /** Fit the canvases to the element; true if there is anything to draw on. */
  resize() {
    const width = this.element.clientWidth;
    const height = this.element.clientHeight;
    if (!width || !height) return false;
    // Inside a zoomed graph the element is scaled: draw as fine as it is seen.
    const zoom = this.element.getBoundingClientRect().width / width || 1;
    const density = clamp(zoom * (window.devicePixelRatio || 1), MIN_DENSITY, MAX_DENSITY);
    const same = width === this.box.width && height === this.box.height;
    if (same && Math.abs(density - this.density) < 0.15) return true;
    this.box = { width, height };
    this.density = density;
    for (const canvas of [...this.layers, this.strokes, this.scratch]) {
      canvas.width = Math.round(width * density);
      canvas.height = Math.round(height * density);
    }
    if (!same) this.view = this.view.resized(this.box);
    this.viewChanged();
    return true;
  }

  /** @param {SourceImage | null} image */
  setImage(image) {
    const before = this.view.image;
    const size = image ?? UNKNOWN;
    this.image = image;
    if (size.width * before.height !== size.height * before.width) this.view = new View(size, this.box);
    this.viewChanged();
  }

  fit() {
    this.view = new View(this.view.image, this.box);
    this.viewChanged();
  }

  viewChanged() {
    this.onViewChange();
    this.redraw("image", "strokes", "hints", "overlay");
  }

  /**
   * Ask for layers to be drawn with the next frame.
   * @param {Layer[]} layers
   */
  redraw(...layers) {
    for (const layer of layers) this.dirty.add(layer);
    if (!this.animationFrame) this.animationFrame = requestAnimationFrame(() => this.draw());
  }

  stop() {
    cancelAnimationFrame(this.animationFrame);
    this.animationFrame = 0;
  }

  /**
   * A canvas's context in CSS pixels.
   * @param {HTMLCanvasElement} canvas
   */
  context(canvas, clear = true) {
    const context = context2d(canvas);
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (clear) context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(this.density, 0, 0, this.density, 0, 0);
    return context;
  }

  draw() {
    this.animationFrame = 0;
    if (!this.box.width && !this.resize()) return;
    const { dirty } = this;
    this.dirty = new Set();
    const content = this.getContent();
    if (dirty.has("image")) this.drawImage();
    if (dirty.has("strokes")) {
      paintStrokes(this.context(this.strokes), this.context(this.scratch), this.view, content.hints.strokes);
    }
    if (dirty.has("strokes") || dirty.has("hints")) this.drawHints(content);
    if (dirty.has("overlay") || dirty.has("hints")) this.drawOverlay(this.context(this.overlay));
  }

  drawImage() {
    const context = this.context(this.backdrop);
    const { x, y, width, height } = this.view;
    if (this.image) {
      context.imageSmoothingQuality = "high";
      context.drawImage(this.image.source, x, y, width, height);
      return;
    }
    context.fillStyle = "rgba(128, 128, 128, 0.18)";
    context.fillRect(x, y, width, height);
  }

  /** @param {Content} content */
  drawHints({ hints, selection, dimmed }) {
    const context = this.context(this.hints);
    context.save();
    context.resetTransform();
    context.globalAlpha = PAINT_OPACITY * (dimmed ? DIMMED_PAINT : 1);
    if (hints.strokes.length) context.drawImage(this.strokes, 0, 0);
    context.restore();
    context.globalAlpha = dimmed ? DIMMED_ITEMS : 1;
    drawItems(context, this.view, hints, selection);
    context.globalAlpha = 1;
  }
}
