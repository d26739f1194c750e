// The editor itself: the hints, their history, the tools, pointer and keyboard. It knows nothing of ComfyUI: it is given
// a text and tells every new one to `onText`.

import { quickField } from "./field.js";
import { History } from "./history.js";
import { copyHints, emptyHints, formatHints, HintsError, isEmpty, parseHints } from "./hints.js";
import { deleteItems, deletePoint } from "./items.js";
import { Keyboard } from "./keyboard.js";
import { LivePreview, MODES as LIVE_MODES } from "./live.js";
import { PointerHand } from "./pointer.js";
import { Stage } from "./stage.js";
import { Toolbar } from "./toolbar.js";
import { makeTools } from "./tools.js";
import { say } from "./words.js";

export class MotionEditor {
  constructor() {
    this.hints = emptyHints();
    this.chosen = [];
    this.point = null; // the point of an arrow that Delete removes
    this.history = new History("");
    this.problem = null; // a HintsError while the text cannot be read
    this.linked = false;
    this.settings = { speed: 1, radius: 0.03, feather: 0 };
    this.onText = () => {};
    this.onHints = () => {};
    this.onEnlarge = () => {};
    this.onIdleWheel = () => {};

    this.element = document.createElement("div");
    this.element.className = "t2c-editor";
    // The keyboard's focus is an input, since ComfyUI leaves the keys of inputs alone (its undo would undo ours again).
    this.keys = Object.assign(document.createElement("input"), { className: "t2c-keys", readOnly: true });
    this.keys.inputMode = "none";
    this.keys.setAttribute("aria-label", say("keys"));
    this.stage = new Stage();
    this.live = new LivePreview(this.stage);
    this.tools = makeTools(this);
    this.tool = "arrow";
    this.status = document.createElement("div");
    this.status.className = "t2c-status";
    this.note = document.createElement("div");
    this.note.className = "t2c-note";
    this.text = document.createElement("textarea");
    this.text.className = "t2c-text";
    this.text.spellcheck = false;
    this.text.hidden = true;
    this.text.addEventListener("input", () => this.restore(this.text.value));
    this.stage.element.append(this.text, this.note);
    this.toolbar = new Toolbar(this);
    this.element.append(this.keys, this.toolbar.element, this.stage.element, this.status);

    this.stage.content = () => ({
      hints: this.hints,
      chosen: this.chosen,
      faint: this.live.mode === "picture" && !this.inside,
    });
    this.stage.drawHand = (context) => this.activeTool.draw?.(context);
    this.stage.onView = () => this.live.clear();
    this.inside = false;
    this.space = false;
    this.pointer = new PointerHand(this);
    this.keyboard = new Keyboard(this);
    this.observer = new ResizeObserver(() => this.stage.resize());
    this.observer.observe(this.stage.element);
    this.show();
  }

  release() {
    this.observer.disconnect();
    this.stage.stop();
    this.live.release();
  }

  focus() {
    this.keys.focus({ preventScroll: true });
  }

  get activeTool() {
    return this.tools[this.tool];
  }

  get editable() {
    return !this.problem && !this.linked;
  }

  // ---- the text ----------------------------------------------------------------------------------------------

  /** Show what a text says; a text that cannot be read is kept as it is and said to be wrong. */
  setText(text) {
    try {
      this.hints = parseHints(text);
      this.problem = null;
    } catch (error) {
      if (!(error instanceof HintsError)) throw error;
      this.hints = emptyHints();
      this.problem = error;
    }
    this.history.push(text);
    this.chosen = [];
    this.point = null;
    this.refresh();
  }

  /** The first text: there is nothing to undo before it. */
  start(text) {
    this.history.reset(text);
    this.setText(text);
  }

  /** Something was drawn or changed: write it down as one step. */
  change({ choose } = {}) {
    if (choose) this.chosen = choose;
    this.point = null;
    const text = formatHints(this.hints);
    this.history.push(text);
    this.onText(text);
    this.refresh();
  }

  undo() {
    this.restore(this.history.undo());
  }

  redo() {
    this.restore(this.history.redo());
  }

  restore(text) {
    this.onText(text);
    this.setText(text);
  }

  clear() {
    if (this.editable && isEmpty(this.hints)) return;
    this.problem = null;
    this.hints = emptyHints();
    this.change({ choose: [] });
  }

  refresh() {
    this.stage.redraw("strokes", "hints", "hand");
    this.toolbar.refresh();
    this.show();
    if (!this.text.hidden && this.text.value !== this.history.current) this.text.value = this.history.current;
    this.text.readOnly = this.linked;
    this.updateField();
    this.onHints(copyHints(this.hints));
  }

  /** Show the hints as text over the stage, to be read, copied or changed; or hide it. */
  showText(shown) {
    this.text.hidden = !shown;
    this.refresh();
    if (shown) this.text.focus();
    else this.focus();
  }

  updateField() {
    if (this.live.mode !== "off") this.live.setField(quickField(this.hints, this.stage.view.picture));
  }

  // ---- words -------------------------------------------------------------------------------------------------

  /** Say something in the status line until the next thing happens. */
  tell(key, values) {
    this.status.textContent = say(key, values);
  }

  /** What the note over the stage and the status line say. */
  show() {
    const { key, values } = this.problem ?? {};
    const broken = this.problem ? say("broken", { reason: say(key, values) }) : "";
    const text = this.linked ? say("linked") : broken;
    this.note.textContent = text || this.pictureNote || "";
    this.note.classList.toggle("t2c-error", !!text);
    this.note.hidden = !this.note.textContent;
    const tip = `tip${this.tool[0].toUpperCase()}${this.tool.slice(1)}`;
    this.status.textContent = this.solved ?? `${say(tip)} ${say("tipKeys")}`;
    this.element.classList.toggle("t2c-locked", !this.editable);
  }

  /** image: {source, width, height} or null, with the sentence that says why there is none. */
  setPicture(image, note = "") {
    this.pictureNote = note;
    this.stage.setImage(image);
    this.live.setImage(image);
    this.updateField();
    this.show();
  }

  // ---- tools and choices --------------------------------------------------------------------------------------

  setTool(name) {
    this.activeTool.end?.();
    this.tool = name;
    if (name !== "select") this.choose([]);
    this.toolbar.refresh();
    this.show();
    this.stage.redraw("hand");
  }

  choose(items) {
    this.chosen = items;
    this.point = null;
    this.stage.redraw("hints");
    this.toolbar.refresh();
  }

  get chosenArrows() {
    return this.chosen.filter((item) => item.kind === "arrow").map((item) => this.hints.arrows[item.index]);
  }

  get chosenStrokes() {
    return this.chosen.filter((item) => item.kind === "stroke").map((item) => this.hints.strokes[item.index]);
  }

  /** Set speed, radius or feather for what is chosen and for what is drawn next. done: a step to undo. */
  setSetting(name, value, done = true) {
    this.settings[name] = value;
    const items = name === "speed" ? this.chosenArrows : this.chosenStrokes;
    for (const item of items) item[name] = value;
    if (items.length && done) this.change();
    else this.stage.redraw(items.length && name !== "speed" ? "strokes" : "hints", "hand");
    this.toolbar.refresh();
  }

  deleteChosen() {
    if (this.point && this.chosen.length === 1) deletePoint(this.hints, this.point);
    else if (this.chosen.length) deleteItems(this.hints, this.chosen);
    else return;
    this.change({ choose: [] });
  }

  cycleLive() {
    this.setLive(LIVE_MODES[(LIVE_MODES.indexOf(this.live.mode) + 1) % LIVE_MODES.length]);
  }

  setLive(mode) {
    this.live.setMode(mode);
    this.refresh();
    this.tell({ off: "liveOff", streaks: "liveStreaks", picture: "livePicture" }[mode]);
  }
}
