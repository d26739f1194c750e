// Arrows: dragged, clicked point by point, or continued from the head of another.

import { drawArrow } from "../draw_hints.js";
import { distance, lengthOf, simplify } from "../geometry.js";
import { itemAt } from "../items.js";
import { MIN_DRAG, Tool, TOLERANCE } from "./tool.js";

/** @import { Point } from "../geometry.js" */

const HEAD_REACH = 7; // CSS pixels round an arrow's head in which a press continues it
const MIN_LENGTH = 1e-4; // normalised

export class ArrowTool extends Tool {
  /** @type {Point[]} Screen points of the drag. */
  path = [];
  /** @type {Point[] | null} Normalised points set by clicks so far. */
  clicked = null;
  /** @type {number | null} Index of the arrow that is continued. */
  continued = null;
  /** @type {Point | null} */
  pointer = null;

  /**
   * @override
   * @param {Point} point
   */
  down(point) {
    this.path = [point];
    if (this.clicked) return;
    const { hints, stage } = this.editor;
    const item = itemAt(hints, stage.view, point, HEAD_REACH);
    const isHead = item?.kind === "arrow" && item.vertex === hints.arrows[item.index].points.length - 1;
    this.continued = isHead ? item.index : null;
  }

  /**
   * @override
   * @param {Point} point
   * @param {PointerEvent} event
   */
  drag(point, event) {
    if (event.shiftKey) this.path = [this.path[0], point];
    else this.path.push(point);
    this.pointer = point;
    this.editor.stage.redraw("overlay");
  }

  /**
   * @override
   * @param {Point} point
   */
  up(point) {
    if (this.path.some((p) => distance(p, this.path[0]) >= MIN_DRAG)) this.addPath();
    else this.addClick(point);
    this.path = [];
    this.editor.stage.redraw("overlay");
  }

  addPath() {
    const points = this.toImage(simplify(this.path, TOLERANCE));
    if (this.clicked) this.clicked.push(...points.slice(1));
    else this.add(points);
  }

  /** @param {Point} point */
  addClick(point) {
    const { hints, stage } = this.editor;
    if (!this.clicked) {
      const head = this.continued === null ? undefined : hints.arrows[this.continued].points.at(-1);
      this.clicked = head ? [head] : this.toImage([point]);
      return;
    }
    const last = stage.view.toScreen(this.clicked[this.clicked.length - 1]);
    if (distance(last, point) >= MIN_DRAG) this.clicked.push(...this.toImage([point]));
  }

  /** @param {Point[]} points */
  add(points) {
    const { editor, continued } = this;
    const { arrows } = editor.hints;
    this.continued = null;
    if (lengthOf(points) < MIN_LENGTH || !this.hasRoom(arrows, points.length)) return;
    if (continued !== null && arrows[continued]) arrows[continued].points.push(...points.slice(1));
    else arrows.push({ points, speed: editor.toolSettings.speed });
    editor.change([{ kind: "arrow", index: continued ?? arrows.length - 1 }]);
  }

  /**
   * @override
   * @param {Point} point
   */
  hover(point) {
    this.pointer = point;
    if (this.clicked) this.editor.stage.redraw("overlay");
  }

  /** @override */
  double() {
    this.end();
  }

  /** @override */
  end() {
    const { clicked } = this;
    this.clicked = null;
    if (clicked && clicked.length > 1) this.add(clicked);
    this.continued = null;
    this.editor.stage.redraw("overlay");
    return clicked !== null;
  }

  /** @override */
  cancel() {
    this.path = [];
  }

  /**
   * @override
   * @param {CanvasRenderingContext2D} context
   */
  draw(context) {
    const { stage, toolSettings } = this.editor;
    const path = this.path.length > 1 ? this.path : [];
    const next = this.clicked && this.pointer && !path.length ? [this.pointer] : [];
    const points = [...(this.clicked ?? []), ...this.toImage([...path, ...next])];
    if (points.length > 1) drawArrow(context, stage.view, { points, speed: toolSettings.speed });
  }
}
