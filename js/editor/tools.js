// What the hand does with each tool. A tool has down, drag and up (screen points), click-wise ones also hover and end;
// they change `editor.hints` through editor.change(), which makes one step to undo.

import { distance, lengthOf, simplify } from "./geometry.js";
import { MAX_ITEMS, MAX_POINTS } from "./hints.js";
import { deleteItems, itemAt, listed, moveItems, touchedBy } from "./items.js";
import { drawArrow, drawBrush, drawStroke, paintColour } from "./paint.js";

const DRAG = 4; // pixels a press may wander and still be a click
const TOLERANCE = 1.5; // pixels a simplified line may leave the hand's

/** Whether another item with so many points still fits; says so if not. */
function hasRoom(editor, list, points) {
  const { arrows, strokes } = editor.hints;
  const total = [...arrows, ...strokes].reduce((sum, item) => sum + item.points.length, points);
  if (list.length < MAX_ITEMS && total <= MAX_POINTS) return true;
  editor.tell("full");
  return false;
}

function toPicture(editor, path) {
  return path.map((p) => editor.stage.view.toPicture(p).map((v) => Math.min(1.5, Math.max(-0.5, v))));
}

class SelectTool {
  constructor(editor) {
    this.editor = editor;
    this.held = null;
  }

  down(at, event) {
    const { editor } = this;
    const item = itemAt(editor.hints, editor.stage.view, at);
    if (!item) {
      if (!event.shiftKey) editor.choose([]);
      return;
    }
    const chosen = listed(editor.chosen, item);
    if (event.shiftKey) {
      editor.choose(chosen ? editor.chosen.filter((other) => !listed([other], item)) : [...editor.chosen, item]);
      return;
    }
    if (!chosen) editor.choose([{ kind: item.kind, index: item.index }]);
    editor.point = item.point === undefined ? null : item;
    this.held = { from: at, last: at, items: item.point === undefined ? editor.chosen : [item], moved: false };
  }

  drag(at) {
    const { held, editor } = this;
    if (!held || (!held.moved && distance(held.from, at) < DRAG)) return;
    held.moved = true;
    const { width, height } = editor.stage.view;
    moveItems(editor.hints, held.items, [(at[0] - held.last[0]) / width, (at[1] - held.last[1]) / height]);
    held.last = at;
    editor.stage.redraw(...(held.items.some((item) => item.kind === "stroke") ? ["strokes"] : ["hints"]));
  }

  up() {
    if (this.held?.moved) this.editor.change();
    this.held = null;
  }

  cancel() {
    this.up();
  }

  /** A double click on a line puts a new point there. */
  double(at) {
    const { editor } = this;
    const item = itemAt(editor.hints, editor.stage.view, at);
    if (item?.kind !== "arrow" || item.segment === undefined) return;
    editor.hints.arrows[item.index].points.splice(item.segment + 1, 0, toPicture(editor, [at])[0]);
    editor.change();
  }

  cursor(at) {
    return itemAt(this.editor.hints, this.editor.stage.view, at) ? "move" : "default";
  }
}

class ArrowTool {
  constructor(editor) {
    this.editor = editor;
    this.path = []; // screen points of the drag
    this.chain = null; // normalised points set by clicks so far
    this.grown = null; // index of the arrow that is continued
    this.at = null;
  }

  down(at) {
    this.path = [at];
    if (this.chain) return;
    // A press on an arrow's end goes on with that arrow.
    const item = itemAt(this.editor.hints, this.editor.stage.view, at, 7);
    const last = item?.kind === "arrow" && item.point === this.editor.hints.arrows[item.index].points.length - 1;
    this.grown = last ? item.index : null;
  }

  drag(at, event) {
    if (event.shiftKey) this.path = [this.path[0], at];
    else this.path.push(at);
    this.at = at;
    this.editor.stage.redraw("hand");
  }

  up(at) {
    const dragged = this.path.length > 1 && this.path.some((p) => distance(p, this.path[0]) >= DRAG);
    if (dragged) this.addPath();
    else this.addPoint(at);
    this.path = [];
    this.editor.stage.redraw("hand");
  }

  addPath() {
    const path = toPicture(this.editor, simplify(this.path, TOLERANCE));
    if (this.chain) {
      this.chain.push(...path.slice(1));
      return;
    }
    this.add(path);
  }

  addPoint(at) {
    const [point] = toPicture(this.editor, [at]);
    if (!this.chain) {
      this.chain = this.grown === null ? [point] : [this.editor.hints.arrows[this.grown].points.at(-1)];
      return;
    }
    const before = this.editor.stage.view.toScreen(this.chain.at(-1));
    if (distance(before, at) >= DRAG) this.chain.push(point);
  }

  add(points) {
    const { editor, grown } = this;
    this.grown = null;
    if (lengthOf(points) < 1e-4 || !hasRoom(editor, editor.hints.arrows, points.length)) return;
    const { arrows } = editor.hints;
    if (grown !== null && arrows[grown]) arrows[grown].points.push(...points.slice(1));
    else arrows.push({ points, speed: editor.settings.speed });
    editor.change({ choose: [{ kind: "arrow", index: grown ?? arrows.length - 1 }] });
  }

  hover(at) {
    this.at = at;
    if (this.chain) this.editor.stage.redraw("hand");
  }

  double() {
    this.end();
  }

  /** Finish the chain of clicks. */
  end() {
    const { chain } = this;
    this.chain = null;
    if (chain?.length > 1) this.add(chain);
    this.grown = null;
    this.editor.stage.redraw("hand");
    return !!chain;
  }

  cancel() {
    this.path = [];
  }

  draw(context) {
    const { view } = this.editor.stage;
    const hand = this.path.length > 1 ? toPicture(this.editor, this.path) : [];
    const next = this.chain && this.at && !hand.length ? toPicture(this.editor, [this.at]) : [];
    const points = [...(this.chain ?? []), ...hand, ...next];
    if (points.length > 1) drawArrow(context, view, { points, speed: this.editor.settings.speed });
  }

  cursor() {
    return "crosshair";
  }
}

class PinTool {
  constructor(editor) {
    this.editor = editor;
  }

  down(at) {
    const { editor } = this;
    if (!hasRoom(editor, editor.hints.pins, 0)) return;
    editor.hints.pins.push(toPicture(editor, [at])[0]);
    this.held = editor.hints.pins.length - 1;
    editor.stage.redraw("hints");
  }

  drag(at) {
    if (this.held === undefined) return;
    [this.editor.hints.pins[this.held]] = toPicture(this.editor, [at]);
    this.editor.stage.redraw("hints");
  }

  up() {
    if (this.held === undefined) return;
    this.editor.change({ choose: [{ kind: "pin", index: this.held }] });
    this.held = undefined;
  }

  cancel() {
    if (this.held !== undefined) this.editor.hints.pins.splice(this.held, 1);
    this.held = undefined;
  }

  cursor() {
    return "crosshair";
  }
}

class BrushTool {
  constructor(editor, mode) {
    this.editor = editor;
    this.mode = mode;
    this.path = [];
    this.at = null;
  }

  get radius() {
    return this.editor.settings.radius * this.editor.stage.view.longer;
  }

  down(at) {
    this.path = [at];
    this.hover(at);
  }

  drag(at) {
    this.path.push(at);
    this.hover(at);
  }

  hover(at) {
    this.at = at;
    this.editor.stage.redraw("hand");
  }

  up() {
    const { editor, path, mode } = this;
    this.path = [];
    if (!path.length) return;
    if (mode === "erase") this.erase(path);
    else this.add(path);
    editor.stage.redraw("hand");
  }

  stroke(path) {
    const { radius, feather } = this.editor.settings;
    const tolerance = Math.min(TOLERANCE, Math.max(0.4, this.radius * 0.1));
    return { points: toPicture(this.editor, simplify(path, tolerance)), radius, mode: this.mode, feather };
  }

  add(path) {
    const stroke = this.stroke(path);
    if (!hasRoom(this.editor, this.editor.hints.strokes, stroke.points.length)) return;
    this.editor.hints.strokes.push(stroke);
    this.editor.change({ choose: [] });
  }

  /** Rub out: arrows and pins go whole, paint only where it is touched. */
  erase(path) {
    const { editor } = this;
    const { hints } = editor;
    deleteItems(hints, touchedBy(hints, editor.stage.view, path, this.radius));
    const stroke = this.stroke(path);
    const covered = hints.strokes.some((other) => other.mode !== "erase" && meets(other, stroke, editor.stage.view));
    if (covered && hasRoom(editor, hints.strokes, stroke.points.length)) hints.strokes.push(stroke);
    editor.change({ choose: [] });
  }

  cancel() {
    this.path = [];
  }

  leave() {
    this.at = null;
    this.editor.stage.redraw("hand");
  }

  draw(context) {
    const { stage, settings } = this.editor;
    if (this.path.length) {
      drawStroke(context, stage.view, { ...this.stroke(this.path), feather: 0 }, paintColour(this.mode));
    }
    if (this.at) drawBrush(context, this.at, this.radius, settings.feather, this.mode);
  }

  cursor() {
    return "none";
  }
}

/** Whether two strokes may overlap: their boxes, grown by their radii, do. */
function meets(a, b, view) {
  const box = ({ points, radius }) => {
    const [xs, ys] = [0, 1].map((axis) => points.map((p) => view.toScreen(p)[axis]));
    const r = radius * view.longer;
    return [Math.min(...xs) - r, Math.min(...ys) - r, Math.max(...xs) + r, Math.max(...ys) + r];
  };
  const [p, q] = [box(a), box(b)];
  return p[0] <= q[2] && q[0] <= p[2] && p[1] <= q[3] && q[1] <= p[3];
}

/** The tools by name. */
export function makeTools(editor) {
  return {
    select: new SelectTool(editor),
    arrow: new ArrowTool(editor),
    pin: new PinTool(editor),
    move: new BrushTool(editor, "move"),
    freeze: new BrushTool(editor, "freeze"),
    erase: new BrushTool(editor, "erase"),
  };
}
