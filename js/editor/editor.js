// The editor: the hints, their history, the tools, pointer and keyboard. It knows nothing of ComfyUI: it is given a
// text and tells every new one to `onTextChange`.

import { History } from "./history.js";
import { emptyHints, formatHints, HintsError, isEmpty, parseHints } from "./hints.js";
import { t } from "./i18n.js";
import { deleteItems, deleteVertex } from "./items.js";
import { Keyboard } from "./keyboard.js";
import { LivePreview, MODES as LIVE_MODES } from "./live_preview.js";
import { estimateField } from "./motion_field.js";
import { PointerController } from "./pointer.js";
import { settings } from "./settings.js";
import { Stage } from "./stage.js";
import { Toolbar } from "./toolbar.js";
import { makeTools } from "./tools/tools.js";

/** @import { Hints } from "./hints.js" */
/** @import { MessageKey } from "./i18n.js" */
/** @import { Item } from "./items.js" */
/** @import { Origin, SourceImage } from "./source_image.js" */
/** @import { ToolName } from "./tools/tools.js" */
/** @typedef {"speed" | "radius" | "feather"} ToolSetting */

const START_RADIUS = 0.03; // a brush that can be seen
const LIVE_STATUS = /** @type {const} */ ({ off: "liveOff", streaks: "liveStreaks", warp: "liveWarp" });
/** @type {Record<ToolName, MessageKey>} */
const TIPS = {
  select: "tipSelect",
  arrow: "tipArrow",
  pin: "tipPin",
  move: "tipMove",
  freeze: "tipFreeze",
  erase: "tipErase",
};

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} className
 */
function makeElement(tag, className) {
  return Object.assign(document.createElement(tag), { className });
}

export class MotionEditor {
  constructor() {
    this.hints = emptyHints();
    /** @type {Item[]} */
    this.selection = [];
    /** @type {Item | null} The vertex that Delete removes. */
    this.selectedVertex = null;
    this.history = new History("");
    /** @type {HintsError | null} Why the text cannot be read. */
    this.problem = null;
    this.linked = false; // the text comes from another node
    this.enlarged = false;
    this.hovered = false;
    this.spacePressed = false;
    this.imageNote = ""; // why there is no image
    this.solverStatus = "";
    const { speed, feather } = settings.hints;
    this.toolSettings = { speed: speed.default, radius: START_RADIUS, feather: feather.default };
    this.onTextChange = (/** @type {string} */ _text) => {};
    this.onHintsChange = (/** @type {Hints} */ _hints) => {};
    this.onEnlarge = (/** @type {boolean} */ _enlarged) => {};
    this.onUnfocusedWheel = (/** @type {WheelEvent} */ _event) => {};

    this.element = makeElement("div", "t2c-editor");
    // The keyboard's focus is an input, since ComfyUI leaves the keys of inputs alone (its undo would undo ours again).
    this.focusTarget = Object.assign(makeElement("input", "t2c-keys"), { readOnly: true, inputMode: "none" });
    this.focusTarget.setAttribute("aria-label", t("keys"));
    this.status = makeElement("div", "t2c-status");
    this.note = makeElement("div", "t2c-note");
    this.text = Object.assign(makeElement("textarea", "t2c-text"), { spellcheck: false, hidden: true });
    this.text.addEventListener("input", () => this.restore(this.text.value));
    this.stage = new Stage();
    this.origin = Object.assign(makeElement("div", "t2c-origin"), { hidden: true });
    this.stage.element.append(this.text, this.note, this.origin);
    this.live = new LivePreview(this.stage);
    this.tools = makeTools(this);
    /** @type {ToolName} */
    this.tool = "arrow";
    this.toolbar = new Toolbar(this);
    this.element.append(this.focusTarget, this.toolbar.element, this.stage.element, this.status);

    this.stage.getContent = () => ({
      hints: this.hints,
      selection: this.selection,
      dimmed: this.live.mode === "warp" && !this.hovered,
    });
    this.stage.drawOverlay = (context) => this.activeTool.draw(context);
    this.stage.onViewChange = () => this.live.clear();
    this.pointer = new PointerController(this);
    this.keyboard = new Keyboard(this);
    this.observer = new ResizeObserver(() => this.stage.resize());
    this.observer.observe(this.stage.element);
    this.updateMessages();
  }

  release() {
    this.observer.disconnect();
    this.stage.stop();
    this.live.release();
  }

  focus() {
    this.focusTarget.focus({ preventScroll: true });
  }

  get activeTool() {
    return this.tools[this.tool];
  }

  get editable() {
    return !this.problem && !this.linked;
  }

  // ---- the text ----------------------------------------------------------------------------------------------

  /**
   * Show the hints of a text; one that cannot be read is kept as it is, and the reason shown.
   * @param {string} text
   */
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
    this.selection = [];
    this.selectedVertex = null;
    this.refresh();
  }

  /**
   * Begin with a text: there is nothing to undo before it.
   * @param {string} text
   */
  start(text) {
    this.history = new History(text);
    this.setText(text);
  }

  /**
   * Something was drawn or changed: write it down as one step to undo.
   * @param {Item[]} [selection] unless it stays
   */
  change(selection = this.selection) {
    this.selection = selection;
    this.selectedVertex = null;
    const text = formatHints(this.hints);
    this.history.push(text);
    this.onTextChange(text);
    this.refresh();
  }

  undo() {
    this.restore(this.history.undo());
  }

  redo() {
    this.restore(this.history.redo());
  }

  /** @param {string} text */
  restore(text) {
    this.onTextChange(text);
    this.setText(text);
  }

  clear() {
    if (this.editable && isEmpty(this.hints)) return;
    this.problem = null;
    this.hints = emptyHints();
    this.change([]);
  }

  refresh() {
    this.stage.redraw("strokes", "hints", "overlay");
    this.refreshToolbar();
    this.updateMessages();
    if (!this.text.hidden && this.text.value !== this.history.current) this.text.value = this.history.current;
    this.text.readOnly = this.linked;
    this.updateField();
    this.onHintsChange(structuredClone(this.hints));
  }

  /**
   * Show the hints as text over the stage, to be read, copied or changed; or hide it.
   * @param {boolean} shown
   */
  showText(shown) {
    this.text.hidden = !shown;
    this.refresh();
    if (shown) this.text.focus();
    else this.focus();
  }

  // ---- messages ----------------------------------------------------------------------------------------------

  /**
   * Say something in the status line until the next thing happens.
   * @param {MessageKey} key
   */
  setStatus(key) {
    this.status.textContent = t(key);
  }

  /** The note over the stage and the status line. */
  updateMessages() {
    const { problem } = this;
    const broken = problem ? t("broken", { reason: t(problem.key, problem.values) }) : "";
    const error = this.linked ? t("linked") : broken;
    this.note.textContent = error || this.imageNote;
    this.note.classList.toggle("t2c-error", !!error);
    this.note.hidden = !this.note.textContent;
    this.status.textContent = this.solverStatus || `${t(TIPS[this.tool])} ${t("tipKeys")}`;
    this.element.classList.toggle("t2c-locked", !this.editable);
  }

  // ---- image and preview -------------------------------------------------------------------------------------

  /**
   * @param {SourceImage | null} image
   * @param {string} [note] why there is none
   */
  setImage(image, note = "") {
    this.imageNote = note;
    this.stage.setImage(image);
    this.live.setImage(image);
    this.updateField();
    this.updateMessages();
  }

  /**
   * Say what the image is to the node; one that it may not get is marked.
   * @param {Origin | null} origin
   */
  setOrigin(origin) {
    this.origin.hidden = !origin;
    this.origin.textContent = origin ? t(origin) : "";
    this.stage.element.classList.toggle("t2c-stale", origin === "imageStale" || origin === "imageUpstream");
  }

  updateField() {
    if (this.live.mode !== "off") this.live.setField(estimateField(this.hints, this.stage.view.image));
  }

  cycleLive() {
    const mode = LIVE_MODES[(LIVE_MODES.indexOf(this.live.mode) + 1) % LIVE_MODES.length];
    this.live.setMode(mode);
    this.refresh();
    this.setStatus(LIVE_STATUS[mode]);
  }

  // ---- tools and selection -----------------------------------------------------------------------------------

  /** @param {ToolName} name */
  setTool(name) {
    this.activeTool.end();
    this.tool = name;
    if (name !== "select") this.select([]);
    this.refreshToolbar();
    this.updateMessages();
    this.stage.redraw("overlay");
  }

  /** @param {Item[]} items */
  select(items) {
    this.selection = items;
    this.selectedVertex = null;
    this.stage.redraw("hints");
    this.refreshToolbar();
  }

  get selectedArrows() {
    return this.selection.filter((item) => item.kind === "arrow").map((item) => this.hints.arrows[item.index]);
  }

  get selectedStrokes() {
    return this.selection.filter((item) => item.kind === "stroke").map((item) => this.hints.strokes[item.index]);
  }

  /** Show what is selected in the sliders. */
  refreshToolbar() {
    const [[arrow], [stroke]] = [this.selectedArrows, this.selectedStrokes];
    if (arrow) this.toolSettings.speed = arrow.speed;
    if (stroke) Object.assign(this.toolSettings, { radius: stroke.radius, feather: stroke.feather });
    this.toolbar.refresh();
  }

  /**
   * Set speed, radius or feather of what is selected and of what is drawn next. done: a step to undo.
   * @param {ToolSetting} name
   * @param {number} value
   */
  setToolSetting(name, value, done = true) {
    this.toolSettings[name] = value;
    const count = name === "speed" ? this.selectedArrows.length : this.selectedStrokes.length;
    if (name === "speed") for (const arrow of this.selectedArrows) arrow.speed = value;
    else for (const stroke of this.selectedStrokes) stroke[name] = value;
    if (count && done) this.change();
    else this.stage.redraw(count && name !== "speed" ? "strokes" : "hints", "overlay");
    this.refreshToolbar();
  }

  deleteSelection() {
    const vertex = this.selection.length === 1 ? this.selectedVertex : null;
    if (vertex?.vertex !== undefined) deleteVertex(this.hints, vertex.index, vertex.vertex);
    else if (this.selection.length) deleteItems(this.hints, this.selection);
    else return;
    this.change([]);
  }
}
