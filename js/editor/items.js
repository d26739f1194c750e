// Finding, moving and deleting what was drawn. An item is named {kind: "arrow" | "pin" | "stroke", index}.

import { HIGHEST, LOWEST } from "./hints.js";
import { distance, nearestSegment } from "./geometry.js";

const REACH = 9; // CSS pixels around a line or a point that count as on it

export function sameItem(a, b) {
  return !!a && !!b && a.kind === b.kind && a.index === b.index;
}

export function listed(items, item) {
  return items.some((other) => sameItem(other, item));
}

export function allItems(hints) {
  const named = (kind, list) => list.map((_, index) => ({ kind, index }));
  return [...named("arrow", hints.arrows), ...named("pin", hints.pins), ...named("stroke", hints.strokes)];
}

/** What lies under the screen point: {kind, index, point?, segment?}, `point` where a point of an arrow is hit. */
export function itemAt(hints, view, screen, reach = REACH) {
  const near = (list, of) => {
    for (let i = list.length - 1; i >= 0; i--) if (of(list[i], i)) return i;
    return -1;
  };
  for (let index = hints.arrows.length - 1; index >= 0; index--) {
    const points = hints.arrows[index].points.map((p) => view.toScreen(p));
    const point = near(points, (p) => distance(p, screen) <= reach);
    if (point >= 0) return { kind: "arrow", index, point };
  }
  const pin = near(hints.pins, (p) => distance(view.toScreen(p), screen) <= reach);
  if (pin >= 0) return { kind: "pin", index: pin };
  for (let index = hints.arrows.length - 1; index >= 0; index--) {
    const found = nearestSegment(screen, hints.arrows[index].points.map((p) => view.toScreen(p)));
    if (found.distance <= reach) return { kind: "arrow", index, segment: found.segment };
  }
  const stroke = near(hints.strokes, ({ points, radius, mode }) => {
    const found = nearestSegment(screen, points.map((p) => view.toScreen(p)));
    return mode !== "erase" && found.distance <= Math.max(reach / 2, radius * view.longer);
  });
  return stroke >= 0 ? { kind: "stroke", index: stroke } : null;
}

function kept(value) {
  return Math.min(HIGHEST, Math.max(LOWEST, value));
}

export function pointsOf(hints, { kind, index }) {
  if (kind === "pin") return [hints.pins[index]];
  return (kind === "arrow" ? hints.arrows : hints.strokes)[index].points;
}

/** Move whole items, or one point of an arrow, by [dx, dy] (normalised), in place. */
export function moveItems(hints, items, [dx, dy]) {
  for (const item of items) {
    const points = pointsOf(hints, item);
    const chosen = item.point === undefined ? points : [points[item.point]];
    for (const point of chosen) {
      point[0] = kept(point[0] + dx);
      point[1] = kept(point[1] + dy);
    }
  }
}

/** Delete items in place. */
export function deleteItems(hints, items) {
  const gone = (kind) => new Set(items.filter((item) => item.kind === kind).map((item) => item.index));
  const [arrows, pins, strokes] = ["arrow", "pin", "stroke"].map(gone);
  hints.arrows = hints.arrows.filter((_, i) => !arrows.has(i));
  hints.pins = hints.pins.filter((_, i) => !pins.has(i));
  hints.strokes = hints.strokes.filter((_, i) => !strokes.has(i));
}

/** Delete one point of an arrow in place, or the arrow if fewer than two would be left. */
export function deletePoint(hints, { index, point }) {
  const { points } = hints.arrows[index];
  if (points.length <= 2) deleteItems(hints, [{ kind: "arrow", index }]);
  else points.splice(point, 1);
}

/** The arrows and pins that an eraser of the given radius (screen pixels) touches on its way. */
export function touchedBy(hints, view, path, radius) {
  const touches = (points) => {
    const line = points.map((p) => view.toScreen(p));
    if (path.some((p) => nearestSegment(p, line).distance <= radius)) return true;
    return line.some((p) => nearestSegment(p, path).distance <= radius);
  };
  return allItems(hints).filter((item) => item.kind !== "stroke" && touches(pointsOf(hints, item)));
}
