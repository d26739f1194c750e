// Drawing hints on a canvas whose unit is the CSS pixel.

import { clamp, distance, lengthOf } from "./geometry.js";
import { includesItem } from "./items.js";

/** @import { Point, View } from "./geometry.js" */
/** @import { Arrow, Hints, Stroke } from "./hints.js" */
/** @import { Item } from "./items.js" */
/** @import { StrokeMode } from "./settings.js" */
/** @typedef {CanvasRenderingContext2D} Context */

const LIGHT = "#ffffff";
const DARK = "rgba(0, 0, 0, 0.75)";
const SELECTED = "#ffb020";
const SELECTED_STROKE = "rgba(255, 176, 32, 0.5)";
const PIN = "#ff4d5e";
const RGB = { move: "70, 150, 255", freeze: "255, 70, 70", erase: "255, 255, 255" };
export const PAINT_OPACITY = 0.45;
const ERASER_OPACITY = 0.35;
const FEATHER_STEPS = 8;

/**
 * How paint looks while it is laid.
 * @param {StrokeMode} mode
 */
export function paintColour(mode) {
  return `rgba(${RGB[mode]}, ${mode === "erase" ? ERASER_OPACITY : PAINT_OPACITY})`;
}

/**
 * @param {Context} context
 * @param {Point[]} line
 */
function trace(context, line) {
  context.beginPath();
  context.moveTo(...line[0]);
  for (const point of line.slice(1)) context.lineTo(...point);
  // A line without length is drawn by no browser, not even with round ends.
  if (line.length === 1) context.lineTo(line[0][0] + 0.01, line[0][1]);
}

/**
 * One arrow; a selected one is highlighted, shows its vertices and has its speed written at its head.
 * @param {Context} context
 * @param {View} view
 * @param {Arrow} arrow
 */
export function drawArrow(context, view, arrow, selected = false) {
  const line = arrow.points.map((p) => view.toScreen(p));
  const width = Math.min(6, 1.6 + 0.8 * Math.sqrt(arrow.speed));
  const headSize = Math.min(clamp(lengthOf(line) * 0.35, 5, 16), 6 + 2.5 * width);
  const head = arrowHead(line, headSize);
  const tip = head[0];
  context.lineCap = context.lineJoin = "round";
  for (const outline of [2.4, 0]) {
    const inner = selected ? SELECTED : LIGHT;
    context.strokeStyle = context.fillStyle = outline ? DARK : inner;
    context.lineWidth = width + outline;
    trace(context, line);
    context.stroke();
    trace(context, head);
    context.closePath();
    context.lineWidth = 1 + outline;
    context.stroke();
    context.fill();
  }
  if (!selected) return;
  for (const point of line) drawDot(context, point, 4.5, SELECTED);
  drawLabel(context, `${+arrow.speed.toFixed(2)}`, tip[0] + 8, tip[1] - 8);
}

/**
 * Tip and both wings, along the direction of the line's last bit: its last segment may be a pixel long.
 * @param {Point[]} line
 * @param {number} size
 * @returns {Point[]}
 */
function arrowHead(line, size) {
  const tip = line[line.length - 1];
  const before = line.slice(0, -1);
  const from = before.findLast((p) => distance(p, tip) >= size * 0.7) ?? line[0];
  const angle = Math.atan2(tip[1] - from[1], tip[0] - from[0]);
  /** @type {(turn: number) => Point} */
  const wing = (turn) => [tip[0] - size * Math.cos(angle + turn), tip[1] - size * Math.sin(angle + turn)];
  return [tip, wing(0.45), wing(-0.45)];
}

/**
 * @param {Context} context
 * @param {Point} point
 * @param {number} radius
 * @param {string} colour
 */
function drawDot(context, [x, y], radius, colour) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.strokeStyle = DARK;
  context.lineWidth = 1.5;
  context.fill();
  context.stroke();
}

/**
 * @param {Context} context
 * @param {string} text
 * @param {number} x
 * @param {number} y
 */
function drawLabel(context, text, x, y) {
  context.font = "600 12px sans-serif";
  context.lineWidth = 3;
  context.strokeStyle = DARK;
  context.strokeText(text, x, y);
  context.fillStyle = LIGHT;
  context.fillText(text, x, y);
}

/**
 * @param {Context} context
 * @param {View} view
 * @param {Point} pin
 * @param {boolean} selected
 */
function drawPin(context, view, pin, selected) {
  const point = view.toScreen(pin);
  drawDot(context, point, selected ? 7 : 5.5, selected ? SELECTED : PIN);
  drawDot(context, point, 1.6, LIGHT);
}

/**
 * A stroke's paint; a feathered one is laid in rings whose opacities add up to a linear slope.
 * @param {Context} context
 * @param {View} view
 * @param {Stroke} stroke
 * @param {string} colour
 */
export function drawStroke(context, view, stroke, colour) {
  const line = stroke.points.map((p) => view.toScreen(p));
  const radius = stroke.radius * view.longer;
  const steps = stroke.feather > 0 ? FEATHER_STEPS : 1;
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = colour;
  for (let step = 0; step < steps; step++) {
    context.globalAlpha = 1 / steps;
    context.lineWidth = 2 * radius * (1 - (stroke.feather * step) / steps);
    trace(context, line);
    context.stroke();
  }
  context.globalAlpha = 1;
}

/** @param {Context} context */
function clearAll(context) {
  context.save();
  context.resetTransform();
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  context.restore();
}

/**
 * All strokes in their order: later ones cover earlier ones, the eraser uncovers.
 * @param {Context} context empty
 * @param {Context} scratch of the same size
 * @param {View} view
 * @param {Stroke[]} strokes
 */
export function paintStrokes(context, scratch, view, strokes) {
  for (const stroke of strokes) {
    const erases = stroke.mode === "erase";
    const colour = `rgb(${RGB[stroke.mode]})`;
    if (!stroke.feather) {
      context.globalCompositeOperation = erases ? "destination-out" : "source-over";
      drawStroke(context, view, stroke, colour);
      continue;
    }
    clearAll(scratch);
    scratch.globalCompositeOperation = "lighter";
    drawStroke(scratch, view, stroke, colour);
    context.save();
    context.resetTransform();
    context.globalCompositeOperation = "destination-out";
    context.drawImage(scratch.canvas, 0, 0);
    context.globalCompositeOperation = "lighter";
    if (!erases) context.drawImage(scratch.canvas, 0, 0);
    context.restore();
  }
  context.globalCompositeOperation = "source-over";
}

/**
 * Arrows and pins, the selected ones highlighted and on top of selected strokes.
 * @param {Context} context
 * @param {View} view
 * @param {Hints} hints
 * @param {Item[]} selection
 */
export function drawItems(context, view, hints, selection) {
  /** @type {(kind: Item["kind"], index: number) => boolean} */
  const isSelected = (kind, index) => includesItem(selection, { kind, index });
  for (const selected of [false, true]) {
    if (selected) {
      const strokes = hints.strokes.filter((_, i) => isSelected("stroke", i));
      for (const stroke of strokes) drawStroke(context, view, { ...stroke, feather: 0 }, SELECTED_STROKE);
    }
    hints.arrows.forEach((arrow, i) => {
      if (isSelected("arrow", i) === selected) drawArrow(context, view, arrow, selected);
    });
    hints.pins.forEach((pin, i) => {
      if (isSelected("pin", i) === selected) drawPin(context, view, pin, selected);
    });
  }
}

/**
 * The brush under the pointer: its rim, and where its feather begins.
 * @param {Context} context
 * @param {Point} point
 * @param {number} radius
 * @param {number} feather
 * @param {StrokeMode} mode
 */
export function drawBrush(context, [x, y], radius, feather, mode) {
  for (const r of feather > 0 ? [radius, radius * (1 - feather)] : [radius]) {
    context.beginPath();
    context.arc(x, y, Math.max(r, 1), 0, 2 * Math.PI);
    context.lineWidth = 2.5;
    context.strokeStyle = DARK;
    context.stroke();
    context.lineWidth = 1.2;
    context.strokeStyle = `rgb(${RGB[mode]})`;
    context.stroke();
  }
}
