// Finding, moving and deleting what was drawn.

import { clamp, distance, nearestSegment } from "./geometry.js";
import { settings } from "./settings.js";

/** @import { Point, View } from "./geometry.js" */
/** @import { Hints } from "./hints.js" */
/**
 * One arrow, pin or stroke. vertex: the point of an arrow that is meant; segment: the one that was hit.
 * @typedef {{ kind: "arrow" | "pin" | "stroke", index: number, vertex?: number, segment?: number }} Item
 */

export const REACH = 9; // CSS pixels around a line or a point that count as on it

/**
 * @param {Item[]} items
 * @param {Item} item
 */
export function includesItem(items, item) {
  return items.some((other) => other.kind === item.kind && other.index === item.index);
}

/**
 * @param {Hints} hints
 * @returns {Item[]}
 */
export function allItems(hints) {
  return [
    ...hints.arrows.map((_, index) => /** @type {Item} */ ({ kind: "arrow", index })),
    ...hints.pins.map((_, index) => /** @type {Item} */ ({ kind: "pin", index })),
    ...hints.strokes.map((_, index) => /** @type {Item} */ ({ kind: "stroke", index })),
  ];
}

/**
 * What lies under the screen point: vertices first, then pins, lines and paint; what was drawn last before the rest.
 * @param {Hints} hints
 * @param {View} view
 * @param {Point} screen
 * @returns {Item | null}
 */
export function itemAt(hints, view, screen, reach = REACH) {
  const lines = hints.arrows.map(({ points }) => points.map((p) => view.toScreen(p)));
  /** @param {Point} point */
  const near = (point) => distance(point, screen) <= reach;
  for (let index = lines.length - 1; index >= 0; index--) {
    const vertex = lines[index].findLastIndex(near);
    if (vertex >= 0) return { kind: "arrow", index, vertex };
  }
  const pin = hints.pins.findLastIndex((p) => near(view.toScreen(p)));
  if (pin >= 0) return { kind: "pin", index: pin };
  for (let index = lines.length - 1; index >= 0; index--) {
    const nearest = nearestSegment(screen, lines[index]);
    if (nearest.distance <= reach) return { kind: "arrow", index, segment: nearest.segment };
  }
  const stroke = hints.strokes.findLastIndex(({ points, radius, mode }) => {
    if (mode === "erase") return false;
    const line = points.map((p) => view.toScreen(p));
    return nearestSegment(screen, line).distance <= Math.max(reach / 2, radius * view.longer);
  });
  return stroke >= 0 ? { kind: "stroke", index: stroke } : null;
}

/**
 * @param {Hints} hints
 * @param {Item} item
 */
function pointsOf(hints, { kind, index }) {
  if (kind === "pin") return [hints.pins[index]];
  return (kind === "arrow" ? hints.arrows : hints.strokes)[index].points;
}

/**
 * Move whole items, or the vertex that is named, by a normalised offset, in place.
 * @param {Hints} hints
 * @param {Item[]} items
 * @param {Point} offset
 */
export function moveItems(hints, items, [dx, dy]) {
  const { min, max } = settings.hints.coordinate;
  for (const item of items) {
    const points = pointsOf(hints, item);
    for (const point of item.vertex === undefined ? points : [points[item.vertex]]) {
      point[0] = clamp(point[0] + dx, min, max);
      point[1] = clamp(point[1] + dy, min, max);
    }
  }
}

/**
 * Delete items in place.
 * @param {Hints} hints
 * @param {Item[]} items
 */
export function deleteItems(hints, items) {
  /** @param {Item["kind"]} kind */
  const isKept = (kind) => (/** @type {unknown} */ _, /** @type {number} */ index) =>
    !includesItem(items, { kind, index });
  hints.arrows = hints.arrows.filter(isKept("arrow"));
  hints.pins = hints.pins.filter(isKept("pin"));
  hints.strokes = hints.strokes.filter(isKept("stroke"));
}

/**
 * Delete one point of an arrow in place, or the arrow if fewer than two would be left.
 * @param {Hints} hints
 * @param {number} index
 * @param {number} vertex
 */
export function deleteVertex(hints, index, vertex) {
  const { points } = hints.arrows[index];
  if (points.length <= 2) deleteItems(hints, [{ kind: "arrow", index }]);
  else points.splice(vertex, 1);
}

/**
 * The arrows and pins that an eraser touches on its way.
 * @param {Hints} hints
 * @param {View} view
 * @param {Point[]} path screen
 * @param {number} radius CSS pixels
 */
export function itemsTouched(hints, view, path, radius) {
  /** @param {Item} item */
  const isTouched = (item) => {
    const line = pointsOf(hints, item).map((p) => view.toScreen(p));
    return (
      path.some((p) => nearestSegment(p, line).distance <= radius) ||
      line.some((p) => nearestSegment(p, path).distance <= radius)
    );
  };
  return allItems(hints).filter((item) => item.kind !== "stroke" && isTouched(item));
}
