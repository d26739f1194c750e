// What the user drew, as plain data: read from and written to the node's text, with the same rules as the server.
// arrows: {points: [[x, y], ...], speed}; pins: [x, y]; strokes: {points, radius, mode, feather}; x, y in 0..1.

export const VERSION = 1;
export const MAX_ITEMS = 2000;
export const MAX_POINTS = 20000;
export const MAX_TEXT = 4_000_000;
export const LOWEST = -0.5;
export const HIGHEST = 1.5;
export const MAX_SPEED = 64;
export const MODES = ["move", "freeze", "erase"];

const DECIMALS = 1e5; // a tenth of a pixel of a 16k picture
const LISTS = ["arrows", "pins", "strokes"];

/** Why a text holds no hints: `key` names the sentence in words.js, `values` fill its blanks. */
export class HintsError extends Error {
  constructor(key, values = {}) {
    super(`${key} ${JSON.stringify(values)}`);
    this.key = key;
    this.values = values;
  }
}

export function emptyHints() {
  return { arrows: [], pins: [], strokes: [] };
}

export function isEmpty(hints) {
  return LISTS.every((name) => hints[name].length === 0);
}

export function copyHints(hints) {
  return structuredClone(hints);
}

/** Hints out of a text; throws HintsError naming what is wrong. An empty text means none. */
export function parseHints(text) {
  if (!text || !text.trim()) return emptyHints();
  if (text.length > MAX_TEXT) throw new HintsError("tooLong", { size: (text.length / 1e6).toFixed(1) });
  let data;
  try {
    data = JSON.parse(text);
  } catch (error) {
    throw new HintsError("notJson", { reason: error.message });
  }
  if (data === null || typeof data !== "object" || Array.isArray(data)) throw new HintsError("notObject");
  if ((data.version ?? VERSION) !== VERSION) throw new HintsError("version", { version: String(data.version) });
  const unknown = Object.keys(data).filter((key) => key !== "version" && !LISTS.includes(key));
  if (unknown.length) throw new HintsError("unknown", { names: unknown.join(", ").slice(0, 80) });
  for (const name of LISTS) {
    const list = data[name] ?? [];
    if (!Array.isArray(list)) throw new HintsError("notList", { name });
    if (list.length > MAX_ITEMS) throw new HintsError("tooMany", { count: list.length, name, most: MAX_ITEMS });
  }
  const hints = {
    arrows: (data.arrows ?? []).map((arrow, i) => readArrow(arrow, `arrow ${i + 1}`)),
    pins: (data.pins ?? []).map((pin, i) => readPoint(pin, `pin ${i + 1}`)),
    strokes: (data.strokes ?? []).map((stroke, i) => readStroke(stroke, `stroke ${i + 1}`)),
  };
  const total = [...hints.arrows, ...hints.strokes].reduce((sum, item) => sum + item.points.length, 0);
  if (total > MAX_POINTS) throw new HintsError("tooManyPoints", { count: total, most: MAX_POINTS });
  return hints;
}

/** The text that parseHints reads back. */
export function formatHints(hints) {
  const point = ([x, y]) => [round(x), round(y)];
  return JSON.stringify({
    version: VERSION,
    arrows: hints.arrows.map(({ points, speed }) => ({ points: points.map(point), speed: round(speed) })),
    pins: hints.pins.map(point),
    strokes: hints.strokes.map(({ points, radius, mode, feather }) => ({
      points: points.map(point),
      radius: round(radius),
      mode,
      ...(feather ? { feather: round(feather) } : {}),
    })),
  });
}

function round(value) {
  return Math.round(value * DECIMALS) / DECIMALS;
}

function readNumber(value, where, low, high) {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new HintsError("notNumber", { where });
  if (value < low || value > high) throw new HintsError("outOfRange", { where, value, low, high });
  return value;
}

function readPoint(value, where) {
  if (!Array.isArray(value) || value.length !== 2) throw new HintsError("notPoint", { where });
  return value.map((v) => readNumber(v, where, LOWEST, HIGHEST));
}

function readPoints(value, where, fewest) {
  if (!Array.isArray(value) || value.length < fewest) throw new HintsError("tooFewPoints", { where, fewest });
  return value.map((point) => readPoint(point, where));
}

function readObject(value, where) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw new HintsError("notItem", { where });
  return value;
}

function readArrow(value, where) {
  const { points, speed = 1 } = readObject(value, where);
  const read = readPoints(points, where, 2);
  const [x, y] = read[0];
  if (read.every((p) => Math.hypot(p[0] - x, p[1] - y) < 1e-6)) throw new HintsError("noLength", { where });
  return { points: read, speed: readNumber(speed, where, 0, MAX_SPEED) };
}

function readStroke(value, where) {
  const { points, radius = 0.02, mode = "move", feather = 0 } = readObject(value, where);
  if (!MODES.includes(mode)) throw new HintsError("badMode", { where });
  return {
    points: readPoints(points, where, 1),
    radius: readNumber(radius, where, 1e-4, 1),
    mode,
    feather: readNumber(feather, where, 0, 1),
  };
}
