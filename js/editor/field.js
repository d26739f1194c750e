// The motion field of the preview: a grid of velocities, from the arrows at once, or from the server's solver.
// {columns, rows, velocity: Float32Array [rows * columns * 2], mask: Float32Array [rows * columns]}; velocities in
// fractions of the picture's width and height per frame.

import { distance, distanceToSegment, lengthOf } from "./geometry.js";

const LONGER = 56;
const REFERENCE = 512; // speeds are pixels per frame of a picture this large
const REACH = 0.16; // how far an arrow is felt, in parts of the longer side, while the solver has not answered
const PIN_REACH = 0.035;

/** The size of a picture in units of its longer side. */
function shape({ width, height }) {
  const longer = Math.max(width, height);
  return [width / longer, height / longer];
}

function arrowSamples(arrows, [w, h]) {
  const samples = [];
  for (const { points, speed } of arrows) {
    const line = points.map(([x, y]) => [x * w, y * h]);
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

/** How much paint lies on a point: [move, freeze] in 0..1, later strokes over earlier ones as on the server. */
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

/** A first guess without the server: the arrows' motion, fading with the distance to them. */
export function quickField(hints, picture) {
  const size = shape(picture);
  const columns = Math.max(2, Math.round(LONGER * size[0]));
  const rows = Math.max(2, Math.round(LONGER * size[1]));
  const velocity = new Float32Array(rows * columns * 2);
  const mask = new Float32Array(rows * columns);
  const samples = arrowSamples(hints.arrows, size);
  if (!samples.length) return { columns, rows, velocity, mask };
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at++) {
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
        const d = Math.hypot(px * size[0] - x, py * size[1] - y);
        amount *= Math.min(1, d / PIN_REACH);
      }
      mask[at] = amount;
      velocity[2 * at] = ((vx / sum) * amount) / REFERENCE / size[0];
      velocity[2 * at + 1] = ((vy / sum) * amount) / REFERENCE / size[1];
    }
  }
  return { columns, rows, velocity, mask };
}

function bytesOf(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** The server's answer as a field; see nodes/preview_route.py for its form. */
export function fieldFromAnswer({ width, height, scale, velocity, mask }, picture) {
  const [w, h] = shape(picture);
  const raw = new Int16Array(bytesOf(velocity).buffer);
  const cover = bytesOf(mask);
  const count = width * height;
  const field = { columns: width, rows: height, velocity: new Float32Array(count * 2), mask: new Float32Array(count) };
  for (let i = 0; i < count; i++) {
    field.velocity[2 * i] = (raw[i] * scale) / REFERENCE / w;
    field.velocity[2 * i + 1] = (raw[count + i] * scale) / REFERENCE / h;
    field.mask[i] = cover[i] / 255;
  }
  return field;
}

/** Velocity at a normalised point, bilinear, into `out`. */
export function velocityAt(field, x, y, out) {
  const { columns, rows, velocity } = field;
  const fx = Math.min(columns - 1, Math.max(0, x * columns - 0.5));
  const fy = Math.min(rows - 1, Math.max(0, y * rows - 0.5));
  const x0 = Math.min(columns - 2, Math.floor(fx));
  const y0 = Math.min(rows - 2, Math.floor(fy));
  const [tx, ty] = [fx - x0, fy - y0];
  const at = 2 * (y0 * columns + x0);
  const below = at + 2 * columns;
  for (let c = 0; c < 2; c++) {
    const top = velocity[at + c] * (1 - tx) + velocity[at + 2 + c] * tx;
    out[c] = top * (1 - ty) + (velocity[below + c] * (1 - tx) + velocity[below + 2 + c] * tx) * ty;
  }
  return out;
}
