// Select, move, and put a vertex into an arrow.

import { distance } from "../geometry.js";
import { includesItem, itemAt, moveItems } from "../items.js";
import { MIN_DRAG, Tool } from "./tool.js";

/** @import { Point } from "../geometry.js" */
/** @import { Item } from "../items.js" */

export class SelectTool extends Tool {
  /** @type {{ start: Point, last: Point, items: Item[], moved: boolean } | null} */
  press = null;

  /** @param {Point} point */
  itemAt(point) {
    return itemAt(this.editor.hints, this.editor.stage.view, point);
  }

  /**
   * @override
   * @param {Point} point
   * @param {PointerEvent} event
   */
  down(point, event) {
    const { editor } = this;
    const item = this.itemAt(point);
    if (!item) {
      if (!event.shiftKey) editor.select([]);
      return;
    }
    const selected = includesItem(editor.selection, item);
    if (event.shiftKey) {
      const others = editor.selection.filter((other) => !includesItem([other], item));
      editor.select(selected ? others : [...editor.selection, item]);
      return;
    }
    if (!selected) editor.select([{ kind: item.kind, index: item.index }]);
    const isVertex = item.vertex !== undefined;
    editor.selectedVertex = isVertex ? item : null;
    this.press = { start: point, last: point, items: isVertex ? [item] : editor.selection, moved: false };
  }

  /**
   * @override
   * @param {Point} point
   */
  drag(point) {
    const { press, editor } = this;
    if (!press || (!press.moved && distance(press.start, point) < MIN_DRAG)) return;
    press.moved = true;
    const { width, height } = editor.stage.view;
    moveItems(editor.hints, press.items, [(point[0] - press.last[0]) / width, (point[1] - press.last[1]) / height]);
    press.last = point;
    editor.stage.redraw(press.items.some((item) => item.kind === "stroke") ? "strokes" : "hints");
  }

  /** @override */
  up() {
    if (this.press?.moved) this.editor.change();
    this.press = null;
  }

  /** @override */
  cancel() {
    this.up();
  }

  /**
   * A double click on a line puts a vertex there.
   * @override
   * @param {Point} point
   */
  double(point) {
    const { editor } = this;
    const item = this.itemAt(point);
    if (item?.kind !== "arrow" || item.segment === undefined) return;
    editor.hints.arrows[item.index].points.splice(item.segment + 1, 0, ...this.toImage([point]));
    editor.change();
  }

  /**
   * @override
   * @param {Point} point
   */
  cursor(point) {
    return this.itemAt(point) ? "move" : "default";
  }
}
