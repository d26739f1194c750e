// Brush strokes over what moves or stays, and the eraser.

import { drawBrush, drawStroke, paintColour } from "../draw_hints.js";
import { clamp, simplify } from "../geometry.js";
import { deleteItems, itemsTouched } from "../items.js";
import { Tool, TOLERANCE } from "./tool.js";

/** @import { MotionEditor } from "../editor.js" */
/** @import { Point, View } from "../geometry.js" */
/** @import { Stroke } from "../hints.js" */
/** @import { StrokeMode } from "../settings.js" */

export class BrushTool extends Tool {
  /** @type {Point[]} Screen points of the stroke. */
  path = [];
  /** @type {Point | null} */
  pointer = null;

  /**
   * @param {MotionEditor} editor
   * @param {StrokeMode} mode
   */
  constructor(editor, mode) {
    super(editor);
    this.mode = mode;
  }

  /** In CSS pixels. */
  get radius() {
    return this.editor.toolSettings.radius * this.editor.stage.view.longer;
  }

  /**
   * @override
   * @param {Point} point
   */
  down(point) {
    this.path = [point];
    this.hover(point);
  }

  /**
   * @override
   * @param {Point} point
   */
  drag(point) {
    this.path.push(point);
    this.hover(point);
  }

  /**
   * @override
   * @param {Point} point
   */
  hover(point) {
    this.pointer = point;
    this.editor.stage.redraw("overlay");
  }

  /** @override */
  up() {
    const { path } = this;
    this.path = [];
    if (!path.length) return;
    if (this.mode === "erase") this.erase(path);
    else if (this.addStroke(this.makeStroke(path))) this.editor.change([]);
    this.editor.stage.redraw("overlay");
  }

  /**
   * @param {Point[]} path
   * @returns {Stroke}
   */
  makeStroke(path) {
    const { radius, feather } = this.editor.toolSettings;
    const tolerance = clamp(this.radius * 0.1, 0.4, TOLERANCE);
    return { points: this.toImage(simplify(path, tolerance)), radius, mode: this.mode, feather };
  }

  /**
   * Add a stroke if there is room for it.
   * @param {Stroke} stroke
   */
  addStroke(stroke) {
    const { strokes } = this.editor.hints;
    return this.hasRoom(strokes, stroke.points.length) && strokes.push(stroke) > 0;
  }

  /**
   * Rub out: arrows and pins go whole, paint only where it is touched.
   * @param {Point[]} path
   */
  erase(path) {
    const { hints, stage } = this.editor;
    deleteItems(hints, itemsTouched(hints, stage.view, path, this.radius));
    const stroke = this.makeStroke(path);
    const isPainted = hints.strokes.some((other) => other.mode !== "erase" && mayOverlap(other, stroke, stage.view));
    if (isPainted) this.addStroke(stroke);
    this.editor.change([]);
  }

  /** @override */
  cancel() {
    this.path = [];
  }

  /** @override */
  leave() {
    this.pointer = null;
    this.editor.stage.redraw("overlay");
  }

  /**
   * @override
   * @param {CanvasRenderingContext2D} context
   */
  draw(context) {
    const { stage, toolSettings } = this.editor;
    if (this.path.length) {
      drawStroke(context, stage.view, { ...this.makeStroke(this.path), feather: 0 }, paintColour(this.mode));
    }
    if (this.pointer) drawBrush(context, this.pointer, this.radius, toolSettings.feather, this.mode);
  }

  /** @override */
  cursor() {
    return "none";
  }
}

/**
 * Whether the boxes of two strokes, grown by their radii, overlap.
 * @param {Stroke} a
 * @param {Stroke} b
 * @param {View} view
 */
function mayOverlap(a, b, view) {
  const [p, q] = [a, b].map(({ points, radius }) => {
    const [xs, ys] = [0, 1].map((axis) => points.map((point) => view.toScreen(point)[axis]));
    const r = radius * view.longer;
    return [Math.min(...xs) - r, Math.min(...ys) - r, Math.max(...xs) + r, Math.max(...ys) + r];
  });
  return p[0] <= q[2] && q[0] <= p[2] && p[1] <= q[3] && q[1] <= p[3];
}
