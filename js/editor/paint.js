// Drawing hints on a canvas whose unit is the CSS pixel.

import { lengthOf } from "./geometry.js";
import { listed } from "./items.js";

const LIGHT = "#ffffff";
const DARK = "rgba(0, 0, 0, 0.75)";
const CHOSEN = "#ffb020";
const PIN = "#ff4d5e";
const PAINT = { move: "70, 150, 255", freeze: "255, 70, 70" };
export const PAINT_OPACITY = 0.45;
const FEATHER_STEPS = 8;

/** How paint looks while it is laid. */
export function paintColour(mode) {
  return mode === "erase" ? "rgba(255, 255, 255, 0.35)" : `rgba(${PAINT[mode]}, ${PAINT_OPACITY})`;
}

function trace(context, line) {
  context.beginPath();
  context.moveTo(line[0][0], line[0][1]);
  for (const [x, y] of line.slice(1)) context.lineTo(x, y);
  // A line without length is drawn by no browser, not even with round ends.
  if (line.length === 1) context.lineTo(line[0][0] + 0.01, line[0][1]);
}

/** One arrow. chosen: highlighted, its points can be grabbed, its speed is written at its head. */
export function drawArrow(context, view, arrow, chosen = false) {
  const line = arrow.points.map((p) => view.toScreen(p));
  const width = Math.min(6, 1.6 + 0.8 * Math.sqrt(arrow.speed));
  const head = Math.min(16, Math.max(5, lengthOf(line) * 0.35), 6 + 2.5 * width);
  const [tip, wings] = headOf(line, head);
  context.lineCap = context.lineJoin = "round";
  for (const [colour, extra] of [[DARK, 2.4], [chosen ? CHOSEN : LIGHT, 0]]) {
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = width + extra;
    trace(context, line);
    context.stroke();
    context.beginPath();
    context.moveTo(...tip);
    context.lineTo(...wings[0]);
    context.lineTo(...wings[1]);
    context.closePath();
    context.lineWidth = 1 + extra;
    context.stroke();
    context.fill();
  }
  if (!chosen) return;
  for (const point of line) dot(context, point, 4.5, CHOSEN);
  label(context, `${+arrow.speed.toFixed(2)}`, tip[0] + 8, tip[1] - 8);
}

function headOf(line, size) {
  const tip = line.at(-1);
  // The direction over the last bit of the way, not of a last segment that may be a pixel long.
  let from = line[0];
  for (let i = line.length - 2; i >= 0; i--) {
    from = line[i];
    if (Math.hypot(tip[0] - from[0], tip[1] - from[1]) >= size * 0.7) break;
  }
  const angle = Math.atan2(tip[1] - from[1], tip[0] - from[0]);
  const wing = (turn) => [tip[0] - size * Math.cos(angle + turn), tip[1] - size * Math.sin(angle + turn)];
  return [tip, [wing(0.45), wing(-0.45)]];
}

function dot(context, [x, y], radius, colour) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.strokeStyle = DARK;
  context.lineWidth = 1.5;
  context.fill();
  context.stroke();
}

function label(context, text, x, y) {
  context.font = "600 12px sans-serif";
  context.lineWidth = 3;
  context.strokeStyle = DARK;
  context.strokeText(text, x, y);
  context.fillStyle = LIGHT;
  context.fillText(text, x, y);
}

export function drawPin(context, view, pin, chosen = false) {
  const [x, y] = view.toScreen(pin);
  dot(context, [x, y], chosen ? 7 : 5.5, chosen ? CHOSEN : PIN);
  dot(context, [x, y], 1.6, LIGHT);
}

/** A stroke's paint; a feathered one is laid in rings whose opacities add up to a linear slope. */
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

/** All strokes in their order on a canvas of their own: later ones cover earlier ones, the eraser uncovers. */
export function paintStrokes(context, scratch, view, strokes) {
  const { width, height } = context.canvas;
  context.save();
  context.resetTransform();
  context.clearRect(0, 0, width, height);
  context.restore();
  for (const stroke of strokes) {
    const colour = stroke.mode === "erase" ? "#000" : `rgb(${PAINT[stroke.mode]})`;
    if (!stroke.feather) {
      context.globalCompositeOperation = stroke.mode === "erase" ? "destination-out" : "source-over";
      drawStroke(context, view, stroke, colour);
      continue;
    }
    scratch.save();
    scratch.resetTransform();
    scratch.clearRect(0, 0, width, height);
    scratch.restore();
    scratch.globalCompositeOperation = "lighter";
    drawStroke(scratch, view, stroke, colour);
    context.save();
    context.resetTransform();
    context.globalCompositeOperation = "destination-out";
    context.drawImage(scratch.canvas, 0, 0);
    context.globalCompositeOperation = "lighter";
    if (stroke.mode !== "erase") context.drawImage(scratch.canvas, 0, 0);
    context.restore();
  }
  context.globalCompositeOperation = "source-over";
}

/** Arrows and pins, the chosen ones highlighted and on top; and a rim round chosen strokes. */
export function drawItems(context, view, hints, chosen) {
  const isChosen = (kind, index) => listed(chosen, { kind, index });
  for (const top of [false, true]) {
    hints.strokes.forEach((stroke, i) => {
      if (top && isChosen("stroke", i)) drawStroke(context, view, { ...stroke, feather: 0 }, "rgba(255, 176, 32, 0.5)");
    });
    hints.arrows.forEach((arrow, i) => isChosen("arrow", i) === top && drawArrow(context, view, arrow, top));
    hints.pins.forEach((pin, i) => isChosen("pin", i) === top && drawPin(context, view, pin, top));
  }
}

/** The brush under the pointer. */
export function drawBrush(context, [x, y], radius, feather, mode) {
  for (const r of feather > 0 ? [radius, radius * (1 - feather)] : [radius]) {
    context.beginPath();
    context.arc(x, y, Math.max(r, 1), 0, 2 * Math.PI);
    context.lineWidth = 2.5;
    context.strokeStyle = DARK;
    context.stroke();
    context.lineWidth = 1.2;
    context.strokeStyle = mode === "erase" ? LIGHT : `rgb(${PAINT[mode]})`;
    context.stroke();
  }
}
