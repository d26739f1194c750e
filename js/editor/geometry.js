// Points, polylines and the view. "Normalised" points are [x, y] in 0..1 of the picture, "screen" points are CSS pixels
// of the stage, origin at its top left.

export const MAX_ZOOM = 16;

/** Where the picture lies on the stage: its top left corner and its size, in CSS pixels. */
export class View {
  constructor(picture, box, margin = 6) {
    this.picture = picture; // {width, height}, in any unit: only their ratio counts
    this.box = box;
    const fit = Math.min((box.width - 2 * margin) / picture.width, (box.height - 2 * margin) / picture.height);
    this.fitted = Math.max(fit, 1e-3);
    this.scale = this.fitted;
    this.x = (box.width - picture.width * this.scale) / 2;
    this.y = (box.height - picture.height * this.scale) / 2;
  }

  get width() {
    return this.picture.width * this.scale;
  }

  get height() {
    return this.picture.height * this.scale;
  }

  get longer() {
    return Math.max(this.width, this.height);
  }

  get zoom() {
    return this.scale / this.fitted;
  }

  toScreen([x, y]) {
    return [this.x + x * this.width, this.y + y * this.height];
  }

  toPicture([x, y]) {
    return [(x - this.x) / this.width, (y - this.y) / this.height];
  }

  /** Zoom by `factor` so that the screen point stays where it is; never smaller than fitted. */
  zoomAt([x, y], factor) {
    const scale = Math.min(Math.max(this.scale * factor, this.fitted), this.fitted * MAX_ZOOM);
    const ratio = scale / this.scale;
    this.x = x - (x - this.x) * ratio;
    this.y = y - (y - this.y) * ratio;
    this.scale = scale;
    this.pan(0, 0);
  }

  /** Move the picture; a corner of it always stays on the stage, a fitted one stays in the middle. */
  pan(dx, dy) {
    this.x = kept(this.x + dx, this.width, this.box.width);
    this.y = kept(this.y + dy, this.height, this.box.height);
  }

  /** The same part of the picture on another stage. */
  moved(box) {
    const view = new View(this.picture, box);
    if (this.zoom > 1.001) {
      const middle = this.toPicture([this.box.width / 2, this.box.height / 2]);
      view.scale = Math.min(view.fitted * this.zoom, view.fitted * MAX_ZOOM);
      view.x = box.width / 2 - middle[0] * view.width;
      view.y = box.height / 2 - middle[1] * view.height;
      view.pan(0, 0);
    }
    return view;
  }
}

function kept(at, length, box) {
  const margin = 40;
  if (length <= box) return (box - length) / 2;
  return Math.min(Math.max(at, box - length - margin), margin);
}

export function distance([ax, ay], [bx, by]) {
  return Math.hypot(ax - bx, ay - by);
}

/** Distance of point p to the segment a-b. */
export function distanceToSegment(p, a, b) {
  const dx = b[0] - a[0];
  const dy = b[1] - a[1];
  const length = dx * dx + dy * dy;
  const t = length ? Math.min(1, Math.max(0, ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / length)) : 0;
  return Math.hypot(p[0] - a[0] - t * dx, p[1] - a[1] - t * dy);
}

/** Distance of p to a polyline and the index of its nearest segment. */
export function nearestSegment(p, points) {
  let best = { distance: Infinity, segment: 0 };
  if (points.length === 1) best.distance = distance(p, points[0]);
  for (let i = 0; i + 1 < points.length; i++) {
    const d = distanceToSegment(p, points[i], points[i + 1]);
    if (d < best.distance) best = { distance: d, segment: i };
  }
  return best;
}

/** The polyline with the points that matter: Douglas and Peucker (1973), `tolerance` in the points' own unit. */
export function simplify(points, tolerance) {
  if (points.length < 3) return points.slice();
  const keep = new Uint8Array(points.length);
  keep[0] = keep[points.length - 1] = 1;
  const open = [[0, points.length - 1]];
  while (open.length) {
    const [first, last] = open.pop();
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

export function lengthOf(points) {
  let sum = 0;
  for (let i = 0; i + 1 < points.length; i++) sum += distance(points[i], points[i + 1]);
  return sum;
}
