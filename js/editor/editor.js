// The editor itself: the hints, their history, the tools, pointer and keyboard. It knows nothing of ComfyUI: it is given
// a text and tells every new one to `onText`.

import { distance } from "./geometry.js";
import { History } from "./history.js";
import { copyHints, emptyHints, formatHints, HintsError, isEmpty, parseHints } from "./hints.js";
import { allItems, deleteItems, deletePoint, moveItems } from "./items.js";
import { LivePreview, MODES as LIVE_MODES } from "./live.js";
import { quickField } from "./field.js";
import { Stage } from "./stage.js";
import { Toolbar } from "./toolbar.js";
import { makeTools } from "./tools.js";
import { say } from "./words.js";

const KEYS = { v: "select", a: "arrow", p: "pin", m: "move", f: "freeze", e: "erase" };
const NUDGE = 0.002;

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
    this.stage.drawHand = (context) => this.tools[this.tool].draw?.(context);
    this.stage.onView = () => this.live.clear();
    this.pointers = new Map();
    this.inside = false;
    this.listen();
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
    this.tools[this.tool].end?.();
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

  // ---- pointer -----------------------------------------------------------------------------------------------

  /** The event's place in CSS pixels of the stage, whatever the graph's zoom. */
  place(event) {
    const { element } = this.stage;
    const rect = element.getBoundingClientRect();
    const scale = rect.width / element.clientWidth || 1;
    return [(event.clientX - rect.left) / scale, (event.clientY - rect.top) / scale];
  }

  listen() {
    const on = (name, handler, options) => this.stage.element.addEventListener(name, handler, options);
    on("pointerdown", (event) => this.pointerDown(event));
    on("pointermove", (event) => this.pointerMove(event));
    on("pointerup", (event) => this.pointerUp(event));
    on("pointercancel", (event) => this.pointerUp(event, true));
    on("pointerenter", () => this.enter(true));
    on("pointerleave", () => this.enter(false));
    on("dblclick", (event) => this.editable && this.tools[this.tool].double?.(this.place(event)));
    // The browser would take the focus away again.
    on("mousedown", (event) => event.target !== this.text && event.preventDefault());
    on("contextmenu", (event) => event.preventDefault());
    on("wheel", (event) => this.wheel(event), { passive: false });
    this.element.addEventListener("keydown", (event) => this.keyDown(event));
    this.element.addEventListener("keyup", (event) => this.keyUp(event));
  }

  enter(inside) {
    this.inside = inside;
    if (inside) this.stage.resize();
    else this.tools[this.tool].leave?.();
    if (this.live.mode === "picture") this.stage.redraw("hints");
  }

  pointerDown(event) {
    event.stopPropagation();
    if (event.target === this.text) return;
    this.focus();
    const at = this.place(event);
    this.pointers.set(event.pointerId, at);
    this.stage.element.setPointerCapture(event.pointerId);
    if (this.pointers.size === 2) {
      this.tools[this.tool].cancel?.();
      this.drawing = null;
      this.stage.redraw("hints", "hand");
      return;
    }
    if (event.button === 1 || event.button === 2 || this.space) this.panning = true;
    else if (this.editable && event.button === 0) {
      this.drawing = event.pointerId;
      this.tools[this.tool].down(at, event);
    }
  }

  pointerMove(event) {
    const at = this.place(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      const tool = this.tools[this.tool];
      this.stage.element.style.cursor = this.editable ? tool.cursor(at) : "default";
      if (this.editable) tool.hover?.(at);
      return;
    }
    event.stopPropagation();
    if (this.pointers.size >= 2) this.pinch(event.pointerId, before, at);
    else if (this.panning) this.pan(at[0] - before[0], at[1] - before[1]);
    else if (this.drawing === event.pointerId) {
      // All the places since the last frame, for a smooth line.
      const all = event.getCoalescedEvents?.() ?? [];
      for (const one of all.length ? all : [event]) this.tools[this.tool].drag(this.place(one), event);
    }
    this.pointers.set(event.pointerId, at);
  }

  pinch(id, before, at) {
    const other = [...this.pointers].find(([key]) => key !== id)[1];
    this.stage.view.zoomAt(other, distance(at, other) / Math.max(1, distance(before, other)));
    this.pan((at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
  }

  pan(dx, dy) {
    this.stage.view.pan(dx, dy);
    this.stage.viewChanged();
  }

  pointerUp(event, cancelled = false) {
    if (!this.pointers.delete(event.pointerId)) return;
    event.stopPropagation();
    const tool = this.tools[this.tool];
    if (this.drawing === event.pointerId) {
      if (cancelled) tool.cancel?.();
      else tool.up(this.place(event), event);
      this.drawing = null;
      this.stage.redraw("hints", "hand");
    }
    if (!this.pointers.size) this.panning = false;
  }

  wheel(event) {
    if (event.target === this.text) {
      event.stopPropagation();
      return;
    }
    // Until it is clicked the editor leaves the wheel to the graph.
    if (!this.element.contains(document.activeElement)) {
      this.onIdleWheel(event);
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    this.stage.view.zoomAt(this.place(event), Math.exp(-event.deltaY * 0.0015));
    this.stage.viewChanged();
  }

  // ---- keyboard ----------------------------------------------------------------------------------------------

  keyDown(event) {
    const typing = event.target.type === "number" || event.target === this.text;
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
    if (event.key === " ") this.space = false;
  }

  /** Do what a key means; false if it means nothing here, so that ComfyUI gets it. */
  press(event) {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey) return this.pressWithControl(key, event.shiftKey);
    if (event.altKey) return false;
    if (key === "Escape") return this.escape();
    if (key === "0") this.stage.fit();
    else if (key === "l") this.cycleLive();
    else if (key === " ") this.space = true;
    else if (!this.editable) return false;
    else if (KEYS[key]) this.setTool(KEYS[key]);
    else if (key === "Delete" || key === "Backspace") this.deleteChosen();
    else if (key === "Enter") this.tools[this.tool].end?.();
    else if (key === "[" || key === "]") this.scaleSetting("radius", key === "]" ? 1.15 : 1 / 1.15, 0.002, 0.5);
    else if (key === "{" || key === "}") this.stepSetting("feather", key === "}" ? 0.1 : -0.1);
    else if (key === "," || key === ".") this.scaleSetting("speed", key === "." ? 1.1 : 1 / 1.1, 0.05, 64);
    else if (key.startsWith("Arrow") && this.chosen.length) this.nudge(key, event.shiftKey ? 5 * NUDGE : NUDGE);
    else return false;
    return true;
  }

  pressWithControl(key, shift) {
    if (!this.editable && key !== "z" && key !== "y") return false;
    if (key === "z" && !shift) this.undo();
    else if (key === "y" || key === "z") this.redo();
    else if (key === "a") {
      this.setTool("select");
      this.choose(allItems(this.hints));
    } else return false;
    return true;
  }

  escape() {
    if (!this.text.hidden) {
      this.showText(false);
      return true;
    }
    if (this.tools[this.tool].end?.()) return true;
    if (this.chosen.length) this.choose([]);
    else if (this.enlarged) this.onEnlarge(false);
    else return false;
    return true;
  }

  nudge(key, by) {
    const [dx, dy] = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] }[key];
    moveItems(this.hints, this.chosen, [dx, dy]);
    this.change();
  }

  scaleSetting(name, factor, low, high) {
    this.setSetting(name, Math.min(high, Math.max(low, this.settings[name] * factor)));
  }

  stepSetting(name, by) {
    this.setSetting(name, Math.min(1, Math.max(0, Math.round((this.settings[name] + by) * 10) / 10)));
  }
}
