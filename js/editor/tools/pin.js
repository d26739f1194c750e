// Pins: set by a press, dragged to where they belong.

import { Tool } from "./tool.js";

/** @import { Point } from "../geometry.js" */

export class PinTool extends Tool {
  /** @type {number | null} Index of the pin under the pressed pointer. */
  pressed = null;

  /**
   * @override
   * @param {Point} point
   */
  down(point) {
    const { pins } = this.editor.hints;
    if (!this.hasRoom(pins, 0)) return;
    this.pressed = pins.push(...this.toImage([point])) - 1;
    this.editor.stage.redraw("hints");
  }

  /**
   * @override
   * @param {Point} point
   */
  drag(point) {
    if (this.pressed === null) return;
    [this.editor.hints.pins[this.pressed]] = this.toImage([point]);
    this.editor.stage.redraw("hints");
  }

  /** @override */
  up() {
    if (this.pressed === null) return;
    this.editor.change([{ kind: "pin", index: this.pressed }]);
    this.pressed = null;
  }

  /** @override */
  cancel() {
    if (this.pressed !== null) this.editor.hints.pins.splice(this.pressed, 1);
    this.pressed = null;
  }
}
