// The editor's keys. What means nothing here goes on to ComfyUI.

import { clamp } from "./geometry.js";
import { allItems, moveItems } from "./items.js";
import { settings } from "./settings.js";

/** @import { MotionEditor, ToolSetting } from "./editor.js" */
/** @import { Point } from "./geometry.js" */
/** @import { ToolName } from "./tools/tools.js" */

/** @type {Record<string, ToolName>} */
const TOOL_KEYS = { v: "select", a: "arrow", p: "pin", m: "move", f: "freeze", e: "erase" };
/** @type {Record<string, { setting: ToolSetting, factor: number }>} */
const SCALE_KEYS = {
  "[": { setting: "radius", factor: 1 / 1.15 },
  "]": { setting: "radius", factor: 1.15 },
  ",": { setting: "speed", factor: 1 / 1.1 },
  ".": { setting: "speed", factor: 1.1 },
};
/** @type {Record<string, number>} */
const FEATHER_KEYS = { "{": -0.1, "}": 0.1 };
/** @type {Record<string, Point>} */
const ARROW_KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const NUDGE = 0.002; // normalised
const FAST = 5; // times, with Shift

export class Keyboard {
  /** @param {MotionEditor} editor */
  constructor(editor) {
    this.editor = editor;
    editor.element.addEventListener("keydown", (event) => this.keyDown(event));
    editor.element.addEventListener("keyup", (event) => {
      if (event.key === " ") editor.spacePressed = false;
    });
  }

  /** @param {KeyboardEvent} event */
  keyDown(event) {
    const { target } = event;
    const typing = (target instanceof HTMLInputElement && target.type === "number") || target === this.editor.text;
    if (typing && event.key !== "Escape") {
      event.stopPropagation();
    } else if (this.press(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  /**
   * Do what a key means; false if it means nothing here, so that ComfyUI gets it.
   * @param {KeyboardEvent} event
   */
  press(event) {
    const { editor } = this;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey) return this.pressWithControl(key, event.shiftKey);
    if (event.altKey) return false;
    if (key === "Escape") return this.escape();
    if (key === "0") editor.stage.fit();
    else if (key === "l") editor.cycleLive();
    else if (key === " ") editor.spacePressed = true;
    else if (!editor.editable) return false;
    else if (key in TOOL_KEYS) editor.setTool(TOOL_KEYS[key]);
    else if (key === "Delete" || key === "Backspace") editor.deleteSelection();
    else if (key === "Enter") editor.activeTool.end();
    else if (key in SCALE_KEYS) this.scaleSetting(SCALE_KEYS[key]);
    else if (key in FEATHER_KEYS) this.stepFeather(FEATHER_KEYS[key]);
    else if (key in ARROW_KEYS && editor.selection.length) this.nudge(ARROW_KEYS[key], event.shiftKey ? FAST : 1);
    else return false;
    return true;
  }

  /**
   * @param {string} key
   * @param {boolean} shift
   */
  pressWithControl(key, shift) {
    const { editor } = this;
    if (!editor.editable && key !== "z" && key !== "y") return false;
    if (key === "z" && !shift) editor.undo();
    else if (key === "y" || key === "z") editor.redo();
    else if (key === "a") {
      editor.setTool("select");
      editor.select(allItems(editor.hints));
    } else return false;
    return true;
  }

  escape() {
    const { editor } = this;
    if (!editor.text.hidden) editor.showText(false);
    else if (editor.activeTool.end()) return true;
    else if (editor.selection.length) editor.select([]);
    else if (editor.enlarged) editor.onEnlarge(false);
    else return false;
    return true;
  }

  /**
   * @param {Point} direction
   * @param {number} times
   */
  nudge([dx, dy], times) {
    moveItems(this.editor.hints, this.editor.selection, [dx * NUDGE * times, dy * NUDGE * times]);
    this.editor.change();
  }

  /** @param {{ setting: ToolSetting, factor: number }} key */
  scaleSetting({ setting, factor }) {
    const { min, max, step } = settings.hints[setting];
    // Never down to 0, from where no factor leads up again.
    const value = clamp(this.editor.toolSettings[setting] * factor, Math.max(min, step), max);
    this.editor.setToolSetting(setting, value);
  }

  /** @param {number} step */
  stepFeather(step) {
    const { min, max } = settings.hints.feather;
    const value = Math.round((this.editor.toolSettings.feather + step) * 10) / 10;
    this.editor.setToolSetting("feather", clamp(value, min, max));
  }
}
