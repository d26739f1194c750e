// Points, polylines and the view. "Normalised" points are in 0..1 of the image, "screen" points are CSS pixels of the
// stage, origin at its top left.

/** @typedef {[x: number, y: number]} Point */
/** @typedef {{ width: number, height: number }} Size */

export const MAX_ZOOM = 16;
const MARGIN = 6; // CSS pixels round a fitted image
const KEPT_ON_STAGE = 40; // CSS pixels of the image that panning leaves on the stage

/** Where the image lies on the stage: its top left corner and its size, in CSS pixels. */
export class View {
  /**
   * @param {Size} image in any unit: only the ratio counts
   * @param {Size} box the stage, in CSS pixels
   */
  constructor(image, box) {
    this.image = image;
    this.box = box;
    const fit = Math.min((box.width - 2 * MARGIN) / image.width, (box.height - 2 * MARGIN) / image.height);
    this.fitted = Math.max(fit, 1e-3);
    this.scale = this.fitted;
    this.x = (box.width - this.width) / 2;
    this.y = (box.height - this.height) / 2;
  }

  get width() {
    return this.image.width * this.scale;
  }

  get height() {
    return this.image.height * this.scale;
  }

  get longer() {
    return Math.max(this.width, this.height);
  }

  get zoom() {
    return this.scale / this.fitted;
  }

  /**
   * @param {Point} point normalised
   * @returns {Point}
   */
  toScreen([x, y]) {
    return [this.x + x * this.width, this.y + y * this.height];
  }

  /**
   * @param {Point} point screen
   * @returns {Point}
   */
  toImage([x, y]) {
    return [(x - this.x) / this.width, (y - this.y) / this.height];
  }

  /**
   * Zoom by `factor` so that the screen point stays where it is; never smaller than fitted.
   * @param {Point} point
   * @param {number} factor
   */
  zoomAt([x, y], factor) {
    const scale = clamp(this.scale * factor, this.fitted, this.fitted * MAX_ZOOM);
    const ratio = scale / this.scale;
    this.x = x - (x - this.x) * ratio;
    this.y = y - (y - this.y) * ratio;
    this.scale = scale;
    this.pan(0, 0);
  }

  /**
   * Move the image; a corner of it always stays on the stage, a fitted one stays in the middle.
   * @param {number} dx
   * @param {number} dy
   */
  pan(dx, dy) {
    this.x = clampOffset(this.x + dx, this.width, this.box.width);
    this.y = clampOffset(this.y + dy, this.height, this.box.height);
  }

  /**
   * The same detail of the image on a stage of another size.
   * @param {Size} box
   */
  resized(box) {
    const view = new View(this.image, box);
    if (this.zoom > 1.001) {
      const middle = this.toImage([this.box.width / 2, this.box.height / 2]);
      view.scale = Math.min(view.fitted * this.zoom, view.fitted * MAX_ZOOM);
      view.x = box.width / 2 - middle[0] * view.width;
      view.y = box.height / 2 - middle[1] * view.height;
      view.pan(0, 0);
    }
    return view;
  }
}

/**
 * @param {number} offset
 * @param {number} length
 * @param {number} box
 */
function clampOffset(offset, length, box) {
  if (length <= box) return (box - length) / 2;
  return Math.min(Math.max(offset, box - length - KEPT_ON_STAGE), KEPT_ON_STAGE);
}

/**
 * @param {number} value
 * @param {number} min
 * @param {number} max
 */
export function clamp(value, min, max) {
  return Math.min(max, Math.max(min, value));
}

/**
 * @param {Point} a
 * @param {Point} b
 */
export function distance([ax, ay], [bx, by]) {
  return Math.hypot(ax - bx, ay - by);
}

/**
 * Distance of point p to the segment a-b.
 * @param {Point} p
 * @param {Point} a
 * @param {Point} b
 */
export function distanceToSegment(p, a, b) {
  const dx = b[0] - a[0];
  const dy = b[1] - a[1];
  const length = dx * dx + dy * dy;
  const t = length ? clamp(((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / length, 0, 1) : 0;
  return Math.hypot(p[0] - a[0] - t * dx, p[1] - a[1] - t * dy);
}

/**
 * Distance of p to a polyline and the index of its nearest segment.
 * @param {Point} p
 * @param {Point[]} points
 */
export function nearestSegment(p, points) {
  const nearest = { distance: Infinity, segment: 0 };
  if (points.length === 1) nearest.distance = distance(p, points[0]);
  for (let segment = 0; segment + 1 < points.length; segment++) {
    const d = distanceToSegment(p, points[segment], points[segment + 1]);
    if (d < nearest.distance) Object.assign(nearest, { distance: d, segment });
  }
  return nearest;
}

/**
 * The polyline with the points that matter: Douglas and Peucker (1973), `tolerance` in the points' unit.
 * @param {Point[]} points
 * @param {number} tolerance
 */
export function simplify(points, tolerance) {
  if (points.length < 3) return points.slice();
  const keep = new Uint8Array(points.length);
  keep[0] = keep[points.length - 1] = 1;
  const open = [[0, points.length - 1]];
  for (let range = open.pop(); range; range = open.pop()) {
    const [first, last] = range;
    let farthest = -1;
    let most = tolerance;
    for (let i = first + 1; i < last; i++) {
      const d = distanceToSegment(points[i], points[first], points[last]);
      if (d > most) [farthest, most] = [i, d];
    }
    if (farthest >= 0) {
      keep[farthest] = 1;
      open.push([first, farthest], [farthest, last]);
    }
  }
  return points.filter((_, i) => keep[i]);
}

/** @param {Point[]} points */
export function lengthOf(points) {
  let sum = 0;
  for (let i = 0; i + 1 < points.length; i++) sum += distance(points[i], points[i + 1]);
  return sum;
}
