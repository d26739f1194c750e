// The buttons and sliders above the stage.

import { clamp } from "./geometry.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { MODES as LIVE_MODES } from "./live_preview.js";
import { settings } from "./settings.js";

/** @import { MotionEditor, ToolSetting } from "./editor.js" */
/** @import { IconName } from "./icons.js" */
/** @import { ToolName } from "./tools/tools.js" */
/**
 * label, help: sentences. unit: what a value of 1 is shown as. sliderMax: where the slider ends; the number beside it
 * goes on to the limit.
 * @typedef {{ label: "speed" | "size" | "feather", help: "speedHelp" | "sizeHelp" | "featherHelp", unit: number,
 *   sliderMax: number }} SliderOptions
 */

/** @type {ToolName[]} */
const TOOLS = ["select", "arrow", "pin", "move", "freeze", "erase"];
const BRUSHES = ["move", "freeze", "erase"];
/** @type {Record<ToolSetting, SliderOptions>} */
const SLIDERS = {
  speed: { label: "speed", help: "speedHelp", unit: 1, sliderMax: 4 },
  radius: { label: "size", help: "sizeHelp", unit: 100, sliderMax: 0.2 },
  feather: { label: "feather", help: "featherHelp", unit: 100, sliderMax: 1 },
};

/**
 * @param {IconName} name
 * @param {() => void} press
 */
function makeButton(name, press) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = "t2c-button";
  element.dataset.t2c = name;
  element.title = t(name);
  element.setAttribute("aria-label", t(name));
  element.append(icon(name));
  element.addEventListener("click", press);
  return element;
}

/**
 * @param {string} className
 * @param {HTMLElement[]} children
 */
function makeGroup(className, children) {
  const element = document.createElement("div");
  element.className = className;
  element.append(...children);
  return element;
}

/** A slider with a number beside it. */
class Slider {
  /**
   * @param {MotionEditor} editor
   * @param {ToolSetting} setting
   * @param {SliderOptions} options
   */
  constructor(editor, setting, { label, help, unit, sliderMax }) {
    this.editor = editor;
    this.setting = setting;
    this.unit = unit;
    const limits = settings.hints[setting];
    const { step } = limits;
    const min = Math.ceil(limits.min / step) * step * unit;
    const max = limits.max * unit;
    this.range = this.makeInput("range", { min, max: sliderMax * unit, step: step * unit });
    this.number = this.makeInput("number", { min, max, step: step * unit });
    this.range.dataset.t2c = setting;
    this.number.dataset.t2c = `${setting}-number`;
    this.element = document.createElement("label");
    this.element.className = "t2c-slider";
    this.element.title = t(help);
    this.element.append(t(label), this.range, this.number);
    /** @type {(input: HTMLInputElement, done: boolean) => void} */
    const take = (input, done) => {
      if (input.value === "" || !Number.isFinite(input.valueAsNumber)) return;
      editor.setToolSetting(setting, clamp(input.valueAsNumber, min, max) / unit, done);
    };
    this.range.addEventListener("input", () => take(this.range, false));
    for (const input of [this.range, this.number]) input.addEventListener("change", () => take(input, true));
  }

  /**
   * @param {string} type
   * @param {{ min: number, max: number, step: number }} attributes
   */
  makeInput(type, { min, max, step }) {
    const input = document.createElement("input");
    return Object.assign(input, { type, min: `${min}`, max: `${max}`, step: `${step}` });
  }

  refresh() {
    const value = `${+(this.editor.toolSettings[this.setting] * this.unit).toFixed(2)}`;
    this.range.value = value;
    if (document.activeElement !== this.number) this.number.value = value;
  }
}

export class Toolbar {
  /** @param {MotionEditor} editor */
  constructor(editor) {
    this.editor = editor;
    this.toolButtons = TOOLS.map((name) => makeButton(name, () => editor.setTool(name)));
    this.buttons = {
      undo: makeButton("undo", () => editor.undo()),
      redo: makeButton("redo", () => editor.redo()),
      clear: makeButton("clear", () => editor.clear()),
      live: makeButton("live", () => editor.cycleLive()),
      fit: makeButton("fit", () => editor.stage.fit()),
      text: makeButton("text", () => editor.showText(editor.text.hidden)),
      enlarge: makeButton("enlarge", () => editor.onEnlarge(!editor.enlarged)),
    };
    this.sliders = {
      speed: new Slider(editor, "speed", SLIDERS.speed),
      radius: new Slider(editor, "radius", SLIDERS.radius),
      feather: new Slider(editor, "feather", SLIDERS.feather),
    };
    const { undo, redo, clear, live, fit, text, enlarge } = this.buttons;
    this.element = makeGroup("t2c-toolbar", [
      makeGroup("t2c-group", this.toolButtons),
      makeGroup("t2c-group", [undo, redo, clear]),
      makeGroup("t2c-group", [live, fit, text, enlarge]),
      makeGroup("t2c-row", Object.values(this.sliders).map((slider) => slider.element)),
    ]);
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
    for (const button of this.toolButtons) {
      const active = button.dataset.t2c === editor.tool;
      button.classList.toggle("t2c-on", active);
      button.setAttribute("aria-pressed", String(active));
      button.disabled = !editor.editable;
    }
    buttons.undo.disabled = editor.linked || !editor.history.canUndo;
    buttons.redo.disabled = editor.linked || !editor.history.canRedo;
    buttons.clear.disabled = editor.linked;
    buttons.live.classList.toggle("t2c-on", editor.live.mode !== LIVE_MODES[0]);
    buttons.live.dataset.mode = editor.live.mode;
    buttons.text.classList.toggle("t2c-on", !editor.text.hidden);
    buttons.enlarge.title = t(editor.enlarged ? "shrink" : "enlarge");
    const selects = editor.tool === "select";
    const hasBrush = BRUSHES.includes(editor.tool) || (selects && editor.selectedStrokes.length > 0);
    sliders.speed.element.hidden = !(editor.tool === "arrow" || (selects && editor.selectedArrows.length > 0));
    sliders.radius.element.hidden = sliders.feather.element.hidden = !hasBrush;
    for (const slider of Object.values(sliders)) slider.refresh();
  }
}
