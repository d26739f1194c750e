// The buttons and sliders above the stage.

import { icon } from "./icons.js";
import { MAX_SPEED } from "./hints.js";
import { MODES as LIVE_MODES } from "./live.js";
import { say } from "./words.js";

const TOOLS = ["select", "arrow", "pin", "move", "freeze", "erase"];
const BRUSHES = ["move", "freeze", "erase"];

function button(name, title, press) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = "t2c-button";
  element.dataset.t2c = name;
  element.title = title;
  element.setAttribute("aria-label", title);
  element.append(icon(name));
  element.addEventListener("click", press);
  return element;
}

/** A slider with a number beside it. read and write turn the value into what is shown and back. */
class Slider {
  constructor(editor, { name, low, high, highest = high, step, read = (v) => v, write = (v) => v, label, help }) {
    this.editor = editor;
    this.name = name;
    this.read = read;
    this.element = document.createElement("label");
    this.element.className = "t2c-slider";
    this.element.title = say(help);
    this.range = Object.assign(document.createElement("input"), { type: "range", min: low, max: high, step });
    this.number = Object.assign(document.createElement("input"), { type: "number", min: low, max: highest, step });
    this.range.dataset.t2c = name;
    this.number.dataset.t2c = `${name}-number`;
    for (const input of [this.range, this.number]) {
      const take = (done) => {
        const value = Math.min(highest, Math.max(low, Number(input.value)));
        if (input.value !== "" && Number.isFinite(value)) editor.setSetting(name, write(value), done);
      };
      input.addEventListener("change", () => take(true));
      if (input === this.range) input.addEventListener("input", () => take(false));
    }
    this.element.append(say(label), this.range, this.number);
  }

  refresh() {
    const value = +this.read(this.editor.settings[this.name]).toFixed(2);
    this.range.value = value;
    if (document.activeElement !== this.number) this.number.value = value;
  }
}

export class Toolbar {
  constructor(editor) {
    this.editor = editor;
    this.element = document.createElement("div");
    this.element.className = "t2c-toolbar";
    this.buttons = {};
    const add = (group, name, press) => {
      this.buttons[name] = button(name, say(name), press);
      group.append(this.buttons[name]);
    };
    const [tools, edit, show] = [0, 1, 2].map(() => {
      const group = document.createElement("div");
      group.className = "t2c-group";
      return group;
    });
    for (const name of TOOLS) add(tools, name, () => editor.setTool(name));
    add(edit, "undo", () => editor.undo());
    add(edit, "redo", () => editor.redo());
    add(edit, "clear", () => editor.clear());
    add(show, "live", () => editor.cycleLive());
    add(show, "fit", () => editor.stage.fit());
    add(show, "text", () => editor.showText(editor.text.hidden));
    add(show, "enlarge", () => editor.onEnlarge(!editor.enlarged));
    const percent = { read: (v) => v * 100, write: (v) => v / 100 };
    this.sliders = {
      speed: { name: "speed", low: 0, high: 4, highest: MAX_SPEED, step: 0.05, label: "speed", help: "speedHelp" },
      radius: { name: "radius", low: 0.2, high: 20, highest: 50, step: 0.1, label: "size", help: "sizeHelp", ...percent },
      feather: { name: "feather", low: 0, high: 100, step: 5, label: "feather", help: "featherHelp", ...percent },
    };
    for (const [name, how] of Object.entries(this.sliders)) this.sliders[name] = new Slider(editor, how);
    this.row = document.createElement("div");
    this.row.className = "t2c-row";
    this.row.append(...Object.values(this.sliders).map((slider) => slider.element));
    this.element.append(tools, edit, show, this.row);
    // A press here must neither move the node nor lose the keyboard.
    this.element.addEventListener("pointerdown", (event) => event.stopPropagation());
    this.element.addEventListener("click", (event) => {
      if (!(event.target instanceof HTMLInputElement) && editor.text.hidden) editor.focus();
    });
    this.refresh();
  }

  /** Show the state of the editor. */
  refresh() {
    const { editor, buttons, sliders } = this;
    for (const name of TOOLS) {
      buttons[name].classList.toggle("t2c-on", editor.tool === name);
      buttons[name].setAttribute("aria-pressed", String(editor.tool === name));
      buttons[name].disabled = !editor.editable;
    }
    buttons.undo.disabled = editor.linked || !editor.history.canUndo;
    buttons.redo.disabled = editor.linked || !editor.history.canRedo;
    buttons.clear.disabled = editor.linked;
    const mode = editor.live.mode;
    buttons.live.classList.toggle("t2c-on", mode !== LIVE_MODES[0]);
    buttons.live.dataset.mode = mode;
    buttons.text.classList.toggle("t2c-on", !editor.text.hidden);
    buttons.enlarge.title = say(editor.enlarged ? "shrink" : "enlarge");
    const [arrows, strokes] = [editor.chosenArrows, editor.chosenStrokes];
    sliders.speed.element.hidden = !(editor.tool === "arrow" || (editor.tool === "select" && arrows.length));
    const brush = BRUSHES.includes(editor.tool) || (editor.tool === "select" && strokes.length > 0);
    sliders.radius.element.hidden = sliders.feather.element.hidden = !brush;
    if (arrows.length) editor.settings.speed = arrows[0].speed;
    if (strokes.length) Object.assign(editor.settings, { radius: strokes[0].radius, feather: strokes[0].feather });
    for (const slider of Object.values(sliders)) slider.refresh();
  }
}
