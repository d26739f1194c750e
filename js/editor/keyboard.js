// The editor's keys. What means nothing here goes on to ComfyUI.

import { allItems, moveItems } from "./items.js";

const KEYS = { v: "select", a: "arrow", p: "pin", m: "move", f: "freeze", e: "erase" };
const NUDGE = 0.002;

export class Keyboard {
  constructor(editor) {
    this.editor = editor;
    editor.element.addEventListener("keydown", (event) => this.keyDown(event));
    editor.element.addEventListener("keyup", (event) => this.keyUp(event));
  }

  keyDown(event) {
    const typing = event.target.type === "number" || event.target === this.editor.text;
    if (typing && event.key !== "Escape") {
      event.stopPropagation();
      return;
    }
    if (this.press(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  keyUp(event) {
    if (event.key === " ") this.editor.space = false;
  }

  /** Do what a key means; false if it means nothing here, so that ComfyUI gets it. */
  press(event) {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey) return this.pressWithControl(key, event.shiftKey);
    if (event.altKey) return false;
    if (key === "Escape") return this.escape();
    if (key === "0") this.editor.stage.fit();
    else if (key === "l") this.editor.cycleLive();
    else if (key === " ") this.editor.space = true;
    else if (!this.editor.editable) return false;
    else if (KEYS[key]) this.editor.setTool(KEYS[key]);
    else if (key === "Delete" || key === "Backspace") this.editor.deleteChosen();
    else if (key === "Enter") this.editor.activeTool.end?.();
    else if (key === "[" || key === "]") this.scaleSetting("radius", key === "]" ? 1.15 : 1 / 1.15, 0.002, 0.5);
    else if (key === "{" || key === "}") this.stepSetting("feather", key === "}" ? 0.1 : -0.1);
    else if (key === "," || key === ".") this.scaleSetting("speed", key === "." ? 1.1 : 1 / 1.1, 0.05, 64);
    else if (key.startsWith("Arrow") && this.editor.chosen.length) this.nudge(key, event.shiftKey ? 5 * NUDGE : NUDGE);
    else return false;
    return true;
  }

  pressWithControl(key, shift) {
    if (!this.editor.editable && key !== "z" && key !== "y") return false;
    if (key === "z" && !shift) this.editor.undo();
    else if (key === "y" || key === "z") this.editor.redo();
    else if (key === "a") {
      this.editor.setTool("select");
      this.editor.choose(allItems(this.editor.hints));
    } else return false;
    return true;
  }

  escape() {
    if (!this.editor.text.hidden) {
      this.editor.showText(false);
      return true;
    }
    if (this.editor.activeTool.end?.()) return true;
    if (this.editor.chosen.length) this.editor.choose([]);
    else if (this.editor.enlarged) this.editor.onEnlarge(false);
    else return false;
    return true;
  }

  nudge(key, by) {
    const [dx, dy] = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] }[key];
    moveItems(this.editor.hints, this.editor.chosen, [dx, dy]);
    this.editor.change();
  }

  scaleSetting(name, factor, low, high) {
    this.editor.setSetting(name, Math.min(high, Math.max(low, this.editor.settings[name] * factor)));
  }

  stepSetting(name, by) {
    this.editor.setSetting(name, Math.min(1, Math.max(0, Math.round((this.editor.settings[name] + by) * 10) / 10)));
  }
}
