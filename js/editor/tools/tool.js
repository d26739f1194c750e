// What every tool can do, and what tools share.

import { clamp } from "../geometry.js";
import { countPoints } from "../hints.js";
import { settings } from "../settings.js";

/** @import { MotionEditor } from "../editor.js" */
/** @import { Point } from "../geometry.js" */

export const MIN_DRAG = 4; // CSS pixels that a press may wander and still be a click
export const TOLERANCE = 1.5; // CSS pixels that a simplified line may leave the drawn one

/**
 * What a press does. Points are screen points. Tools change `editor.hints` and call editor.change(), which makes one
 * step to undo.
 */
export class Tool {
  /** @param {MotionEditor} editor */
  constructor(editor) {
    this.editor = editor;
  }

  /**
   * @param {Point} _point
   * @param {PointerEvent} _event
   */
  down(_point, _event) {}

  /**
   * @param {Point} _point
   * @param {PointerEvent} _event
   */
  drag(_point, _event) {}

  /**
   * @param {Point} _point
   * @param {PointerEvent} _event
   */
  up(_point, _event) {}

  /** @param {Point} _point */
  hover(_point) {}

  /** @param {Point} _point */
  double(_point) {}

  /** Finish what takes several clicks; true if there was any. */
  end() {
    return false;
  }

  /** Drop what the press began. */
  cancel() {}

  /** The pointer has left the stage. */
  leave() {}

  /** @param {CanvasRenderingContext2D} _context of the overlay */
  draw(_context) {}

  /**
   * @param {Point} _point
   * @returns {string}
   */
  cursor(_point) {
    return "crosshair";
  }

  /**
   * Whether another item of so many points still fits; says so if not.
   * @param {unknown[]} list that it joins
   * @param {number} points
   */
  hasRoom(list, points) {
    const { max_items: maxItems, max_points: maxPoints } = settings.hints;
    if (list.length < maxItems && countPoints(this.editor.hints) + points <= maxPoints) return true;
    this.editor.setStatus("full");
    return false;
  }

  /**
   * Screen points as normalised ones that hints may have.
   * @param {Point[]} path
   */
  toImage(path) {
    const { min, max } = settings.hints.coordinate;
    return path.map((point) => {
      const [x, y] = this.editor.stage.view.toImage(point);
      return /** @type {Point} */ ([clamp(x, min, max), clamp(y, min, max)]);
    });
  }
}
