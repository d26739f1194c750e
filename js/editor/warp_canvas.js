// The same as warp_gl.js where there is no graphics card: computed in script for a small image.

import { context2d, fitWithin, resized } from "./canvas.js";
import { sampleVelocity } from "./motion_field.js";

/** @import { Bitmap } from "./canvas.js" */
/** @import { MotionField } from "./motion_field.js" */
/**
 * The image, the same without its detail, and what is drawn.
 * @typedef {{ pixels: ImageData, mean: ImageData, out: ImageData }} Layers
 */
/**
 * Indices of the pixels that move, and velocities of all, px/frame.
 * @typedef {{ pixels: number[], velocity: Float32Array }} Motion
 */

const MAX_SIDE = 448;
const MEAN_SCALE = 12; // the mean is taken over about so many pixels
const STEPS = 5;
const MIN_MASK = 0.1; // where the mask is below, a pixel stays
const READ = { willReadFrequently: true };

export class CanvasWarp {
  constructor() {
    this.canvas = document.createElement("canvas");
    /** @type {MotionField | null} */
    this.field = null;
    /** @type {Layers | null} */
    this.layers = null;
    /** @type {Motion | null} */
    this.motion = null;
  }

  /** @param {Bitmap} source */
  setImage(source) {
    this.canvas = resized(source, ...fitWithin(source, MAX_SIDE, 2), READ);
    const { width, height } = this.canvas;
    const small = resized(this.canvas, ...fitWithin(this.canvas, Math.max(width, height) / MEAN_SCALE, 2));
    this.layers = {
      pixels: context2d(this.canvas).getImageData(0, 0, width, height),
      mean: context2d(resized(small, width, height, READ)).getImageData(0, 0, width, height),
      out: new ImageData(width, height),
    };
    this.motion = null;
  }

  /** @param {MotionField} field */
  setField(field) {
    this.field = field;
    this.motion = null;
  }

  /**
   * Draw the loop at `phase` (0..1). Returns a canvas that covers the image.
   * @param {number} phase
   * @param {number} frames
   */
  draw(phase, frames) {
    if (!this.layers || !this.field) return this.canvas;
    const { pixels, mean, out } = this.layers;
    this.motion ??= prepareMotion(this.field, pixels.width, pixels.height, out);
    const a = 1 - phase;
    // Detail keeps its contrast, as in the loop's blend: two unlike samples averaged would lose some.
    const gain = 1 / Math.hypot(a, phase);
    for (const pixel of this.motion.pixels) {
      const q = 4 * traceFrom(pixel, -phase * frames, this.motion.velocity, pixels);
      const r = 4 * traceFrom(pixel, a * frames, this.motion.velocity, pixels);
      for (let c = 0; c < 3; c++) {
        const [mq, mr] = [mean.data[q + c], mean.data[r + c]];
        const detail = a * (pixels.data[q + c] - mq) + phase * (pixels.data[r + c] - mr);
        out.data[4 * pixel + c] = a * mq + phase * mr + gain * detail;
      }
      out.data[4 * pixel + 3] = 255;
    }
    context2d(this.canvas).putImageData(out, 0, 0);
    return this.canvas;
  }

  release() {}
}

/**
 * Velocities on the image's grid, looked up once per field; `out` is cleared of what moved before.
 * @param {MotionField} field
 * @param {number} width
 * @param {number} height
 * @param {ImageData} out
 * @returns {Motion}
 */
function prepareMotion(field, width, height, out) {
  const { columns, rows, mask } = field;
  const pixels = [];
  const velocity = new Float32Array(width * height * 2);
  const v = [0, 0];
  for (let y = 0, pixel = 0; y < height; y++) {
    for (let x = 0; x < width; x++, pixel++) {
      const [u, w] = [(x + 0.5) / width, (y + 0.5) / height];
      sampleVelocity(field, u, w, v);
      velocity[2 * pixel] = v[0] * width;
      velocity[2 * pixel + 1] = v[1] * height;
      if (mask[Math.floor(w * rows) * columns + Math.floor(u * columns)] >= MIN_MASK) pixels.push(pixel);
    }
  }
  out.data.fill(0);
  return { pixels, velocity };
}

/**
 * Index of the pixel that a trace from `pixel` over `time` frames ends in; mirrored at the image's border.
 * @param {number} pixel
 * @param {number} time
 * @param {Float32Array} velocity
 * @param {{ width: number, height: number }} size
 */
function traceFrom(pixel, time, velocity, { width, height }) {
  const dt = time / STEPS;
  let x = (pixel % width) + 0.5;
  let y = Math.floor(pixel / width) + 0.5;
  for (let i = 0; i < STEPS; i++) {
    const k = 2 * (mirror(y, height) * width + mirror(x, width));
    x += velocity[k] * dt;
    y += velocity[k + 1] * dt;
  }
  return mirror(y, height) * width + mirror(x, width);
}

/**
 * @param {number} position
 * @param {number} size
 */
function mirror(position, size) {
  let k = Math.floor(position);
  if (k < 0) k = -1 - k;
  if (k >= 2 * size) k %= 2 * size;
  return k < size ? k : 2 * size - 1 - k;
}
