// The same as warp_gl.js where there is no graphics card: computed in script for a small picture.

import { velocityAt } from "./field.js";

const LONGER = 176;
const STEPS = 5;
const LEAST = 0.1; // below so much of the mask a pixel stays

export class CanvasWarp {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.field = null;
    this.source = null;
    this.moving = null;
  }

  setPicture(source) {
    const scale = LONGER / Math.max(source.width, source.height);
    this.canvas.width = Math.max(2, Math.round(source.width * scale));
    this.canvas.height = Math.max(2, Math.round(source.height * scale));
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.drawImage(source, 0, 0, this.canvas.width, this.canvas.height);
    this.source = context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    this.moving = null;
  }

  setField(field) {
    this.field = field;
    this.moving = null;
  }

  /** The pixels that move, with their velocities on the picture's own grid: looked up once per field. */
  prepare() {
    const { width, height } = this.source;
    const { columns, rows, mask } = this.field;
    this.moving = [];
    this.velocity = new Float32Array(width * height * 2);
    const v = [0, 0];
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at++) {
        const [u, w] = [(x + 0.5) / width, (y + 0.5) / height];
        velocityAt(this.field, u, w, v);
        this.velocity[2 * at] = v[0] * width;
        this.velocity[2 * at + 1] = v[1] * height;
        if (mask[Math.floor(w * rows) * columns + Math.floor(u * columns)] >= LEAST) this.moving.push(at);
      }
    }
    this.out = new ImageData(width, height);
  }

  /** Index of the pixel that a trace from pixel `at` over `time` frames ends in; mirrored at the picture's border. */
  traced(at, time) {
    const { width, height } = this.source;
    const { velocity } = this;
    const dt = time / STEPS;
    let x = (at % width) + 0.5;
    let y = Math.floor(at / width) + 0.5;
    for (let i = 0; i < STEPS; i++) {
      const k = 2 * (mirrored(y, height) * width + mirrored(x, width));
      x += velocity[k] * dt;
      y += velocity[k + 1] * dt;
    }
    return mirrored(y, height) * width + mirrored(x, width);
  }

  /** Draw the loop at `phase` (0..1). Returns a canvas that covers the picture. */
  draw(phase, frames) {
    if (!this.moving) this.prepare();
    const { data } = this.source;
    const out = this.out.data;
    for (const at of this.moving) {
      const q = 4 * this.traced(at, -phase * frames);
      const r = 4 * this.traced(at, (1 - phase) * frames);
      for (let c = 0; c < 3; c++) out[4 * at + c] = data[q + c] + phase * (data[r + c] - data[q + c]);
      out[4 * at + 3] = 255;
    }
    this.canvas.getContext("2d").putImageData(this.out, 0, 0);
    return this.canvas;
  }

  release() {}
}

function mirrored(t, size) {
  let k = Math.floor(t);
  if (k < 0) k = -1 - k;
  if (k >= 2 * size) k %= 2 * size;
  return k < size ? k : 2 * size - 1 - k;
}
