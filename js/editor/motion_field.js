// The motion field of the preview: a grid of velocities, from the arrows at once, or from the server's solver.

import { clamp, distance, distanceToSegment, lengthOf } from "./geometry.js";
import { settings } from "./settings.js";

/** @import { Point, Size } from "./geometry.js" */
/** @import { Arrow, Hints, Stroke } from "./hints.js" */
/**
 * Row by row. velocity: [rows * columns * 2], fractions of the image's width and height per frame; mask: [rows *
 * columns] in 0..1.
 * @typedef {{ columns: number, rows: number, velocity: Float32Array, mask: Float32Array }} MotionField
 */
/** @typedef {{ width: number, height: number, scale: number, velocity: string, mask: string }} PreviewAnswer */

const GRID_SIDE = 56; // cells of the longer side
const REACH = 0.16; // how far an arrow is felt, in fractions of the longer side, until the solver has answered
const PIN_REACH = 0.035;

/**
 * The size of an image in units of its longer side.
 * @param {Size} image
 * @returns {Point}
 */
function aspect({ width, height }) {
  const longer = Math.max(width, height);
  return [width / longer, height / longer];
}

/**
 * Positions and velocities along the arrows, four numbers each.
 * @param {Arrow[]} arrows
 * @param {Point} size
 */
function arrowSamples(arrows, [w, h]) {
  const samples = [];
  for (const { points, speed } of arrows) {
    const line = points.map(([x, y]) => /** @type {Point} */ ([x * w, y * h]));
    const step = Math.max(0.02, lengthOf(line) / 24);
    for (let i = 0; i + 1 < line.length; i++) {
      const [a, b] = [line[i], line[i + 1]];
      const length = distance(a, b);
      if (length < 1e-6) continue;
      const count = Math.max(1, Math.ceil(length / step));
      const vx = ((b[0] - a[0]) / length) * speed;
      const vy = ((b[1] - a[1]) / length) * speed;
      for (let k = 0; k < count; k++) {
        const t = (k + 0.5) / count;
        samples.push(a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), vx, vy);
      }
    }
  }
  return samples;
}

/**
 * How much paint lies on a point: [move, freeze] in 0..1, later strokes over earlier ones as on the server.
 * @param {Stroke[]} strokes
 * @param {Point} p
 * @param {Point} size
 */
function paintAt(strokes, p, [w, h]) {
  let move = 0;
  let freeze = 0;
  for (const { points, radius, feather, mode } of strokes) {
    let d = Infinity;
    for (let i = 0; i + 1 < Math.max(2, points.length) && d > 0; i++) {
      const b = points[Math.min(i + 1, points.length - 1)];
      d = Math.min(d, distanceToSegment(p, [points[i][0] * w, points[i][1] * h], [b[0] * w, b[1] * h]));
    }
    if (d > radius) continue;
    const alpha = feather > 0 ? Math.min(1, (radius - d) / (radius * feather)) : 1;
    move = move * (1 - alpha) + (mode === "move" ? alpha : 0);
    freeze = freeze * (1 - alpha) + (mode === "freeze" ? alpha : 0);
  }
  return [move, freeze];
}

/**
 * @param {number} columns
 * @param {number} rows
 * @returns {MotionField}
 */
function makeField(columns, rows) {
  const count = columns * rows;
  return { columns, rows, velocity: new Float32Array(count * 2), mask: new Float32Array(count) };
}

/**
 * A first guess without the server: the arrows' motion, fading with the distance to them.
 * @param {Hints} hints
 * @param {Size} image
 */
export function estimateField(hints, image) {
  const size = aspect(image);
  const [columns, rows] = size.map((side) => Math.max(2, Math.round(GRID_SIDE * side)));
  const field = makeField(columns, rows);
  const samples = arrowSamples(hints.arrows, size);
  if (!samples.length) return field;
  for (let row = 0, cell = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, cell++) {
      const x = ((column + 0.5) / columns) * size[0];
      const y = ((row + 0.5) / rows) * size[1];
      let [vx, vy, sum, nearest] = [0, 0, 0, Infinity];
      for (let i = 0; i < samples.length; i += 4) {
        const d = (samples[i] - x) ** 2 + (samples[i + 1] - y) ** 2;
        const weight = 1 / (d * d + 1e-7);
        vx += weight * samples[i + 2];
        vy += weight * samples[i + 3];
        sum += weight;
        if (d < nearest) nearest = d;
      }
      let amount = Math.exp(-nearest / (REACH * REACH));
      const [move, freeze] = paintAt(hints.strokes, [x, y], size);
      amount = Math.max(amount, move) * (1 - freeze);
      for (const [px, py] of hints.pins) {
        amount *= Math.min(1, Math.hypot(px * size[0] - x, py * size[1] - y) / PIN_REACH);
      }
      const scale = amount / sum / settings.reference_size;
      field.mask[cell] = amount;
      field.velocity[2 * cell] = (vx * scale) / size[0];
      field.velocity[2 * cell + 1] = (vy * scale) / size[1];
    }
  }
  return field;
}

/** @param {string} base64 */
function decodeBytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/**
 * The server's answer as a field; its form: nodes/preview_request.py.
 * @param {PreviewAnswer} answer
 * @param {Size} image
 */
export function decodeField({ width, height, scale, velocity, mask }, image) {
  const [w, h] = aspect(image);
  const quantised = new Int16Array(decodeBytes(velocity).buffer);
  const cover = decodeBytes(mask);
  const unit = scale / settings.reference_size;
  const field = makeField(width, height);
  for (let cell = 0; cell < width * height; cell++) {
    field.velocity[2 * cell] = (quantised[cell] * unit) / w;
    field.velocity[2 * cell + 1] = (quantised[width * height + cell] * unit) / h;
    field.mask[cell] = cover[cell] / 255;
  }
  return field;
}

/**
 * Velocity at a normalised point, bilinear, into `out`.
 * @param {MotionField} field
 * @param {number} x
 * @param {number} y
 * @param {number[]} out
 */
export function sampleVelocity(field, x, y, out) {
  const { columns, rows, velocity } = field;
  const fx = clamp(x * columns - 0.5, 0, columns - 1);
  const fy = clamp(y * rows - 0.5, 0, rows - 1);
  const x0 = Math.min(columns - 2, Math.floor(fx));
  const y0 = Math.min(rows - 2, Math.floor(fy));
  const [tx, ty] = [fx - x0, fy - y0];
  const above = 2 * (y0 * columns + x0);
  const below = above + 2 * columns;
  for (let c = 0; c < 2; c++) {
    const top = velocity[above + c] * (1 - tx) + velocity[above + 2 + c] * tx;
    out[c] = top * (1 - ty) + (velocity[below + c] * (1 - tx) + velocity[below + 2 + c] * tx) * ty;
  }
  return out;
}
