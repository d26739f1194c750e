// What the user drew, as plain data: read from and written to the node's text, with the same rules as the server.
// Points are normalised.

import { settings } from "./settings.js";

/** @import { Point } from "./geometry.js" */
/** @import { MessageKey, Values } from "./i18n.js" */
/** @import { StrokeMode } from "./settings.js" */
/** @typedef {{ points: Point[], speed: number }} Arrow */
/** @typedef {{ points: Point[], radius: number, mode: StrokeMode, feather: number }} Stroke */
/** @typedef {{ arrows: Arrow[], pins: Point[], strokes: Stroke[] }} Hints */

const DECIMALS = 1e5; // a tenth of a pixel of a 16k image
const LISTS = /** @type {const} */ (["arrows", "pins", "strokes"]);

/** Why a text holds no hints: `key` names the sentence, `values` fill its placeholders. */
export class HintsError extends Error {
  /**
   * @param {MessageKey} key
   * @param {Values} [values]
   */
  constructor(key, values = {}) {
    super(`${key} ${JSON.stringify(values)}`);
    this.key = key;
    this.values = values;
  }
}

/** @returns {Hints} */
export function emptyHints() {
  return { arrows: [], pins: [], strokes: [] };
}

/** @param {Hints} hints */
export function isEmpty(hints) {
  return LISTS.every((name) => hints[name].length === 0);
}

/**
 * Whether the mask has a single arrow to go by and nothing that says where it ends.
 * @param {Hints} hints
 */
export function lacksStillPlaces(hints) {
  return hints.arrows.length === 1 && hints.pins.length === 0 && hints.strokes.length === 0;
}

/**
 * Hints out of a text; throws HintsError naming what is wrong. An empty text means none.
 * @param {string} text
 * @returns {Hints}
 */
export function parseHints(text) {
  if (!text.trim()) return emptyHints();
  const limits = settings.hints;
  if (text.length > limits.max_text) throw new HintsError("tooLong", { size: (text.length / 1e6).toFixed(1) });
  const data = readJson(text);
  const { version = limits.version } = data;
  if (version !== limits.version) throw new HintsError("version", { version: String(version) });
  const known = ["version", ...LISTS];
  const unknown = Object.keys(data).filter((key) => !known.includes(key));
  if (unknown.length) throw new HintsError("unknown", { names: unknown.join(", ").slice(0, 80) });
  const [arrows, pins, strokes] = LISTS.map((name) => readList(data, name));
  const hints = {
    arrows: arrows.map((arrow, i) => readArrow(arrow, `arrow ${i + 1}`)),
    pins: pins.map((pin, i) => readPoint(pin, `pin ${i + 1}`)),
    strokes: strokes.map((stroke, i) => readStroke(stroke, `stroke ${i + 1}`)),
  };
  const count = countPoints(hints);
  if (count > limits.max_points) throw new HintsError("tooManyPoints", { count, most: limits.max_points });
  return hints;
}

/**
 * Points of all arrows and strokes together.
 * @param {Hints} hints
 */
export function countPoints({ arrows, strokes }) {
  return [...arrows, ...strokes].reduce((sum, item) => sum + item.points.length, 0);
}

/**
 * The text that parseHints reads back.
 * @param {Hints} hints
 */
export function formatHints(hints) {
  /** @param {Point} point */
  const point = ([x, y]) => [round(x), round(y)];
  return JSON.stringify({
    version: settings.hints.version,
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

/** @param {number} value */
function round(value) {
  return Math.round(value * DECIMALS) / DECIMALS;
}

/**
 * @param {string} text
 * @returns {Record<string, unknown>}
 */
function readJson(text) {
  let data;
  try {
    data = JSON.parse(text.replace(/^\uFEFF/, "")); // a byte order mark that was pasted along
  } catch (error) {
    throw new HintsError("notJson", { reason: error instanceof Error ? error.message : String(error) });
  }
  if (!isObject(data)) throw new HintsError("notObject");
  return data;
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/**
 * @param {Record<string, unknown>} data
 * @param {string} name
 * @returns {unknown[]}
 */
function readList(data, name) {
  const { [name]: list = [] } = data;
  const most = settings.hints.max_items;
  if (!Array.isArray(list)) throw new HintsError("notList", { name });
  if (list.length > most) throw new HintsError("tooMany", { count: list.length, name, most });
  return list;
}

/**
 * @param {unknown} value
 * @param {string} where
 * @param {{ min: number, max: number }} range
 */
function readNumber(value, where, { min, max }) {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new HintsError("notNumber", { where });
  if (value < min || value > max) throw new HintsError("outOfRange", { where, value, low: min, high: max });
  return value;
}

/**
 * @param {unknown} value
 * @param {string} where
 * @returns {Point}
 */
function readPoint(value, where) {
  if (!Array.isArray(value) || value.length !== 2) throw new HintsError("notPoint", { where });
  const [x, y] = value.map((v) => readNumber(v, where, settings.hints.coordinate));
  return [x, y];
}

/**
 * @param {unknown} value
 * @param {string} where
 * @param {number} fewest
 */
function readPoints(value, where, fewest) {
  if (!Array.isArray(value) || value.length < fewest) throw new HintsError("tooFewPoints", { where, fewest });
  return value.map((point) => readPoint(point, where));
}

/**
 * @param {unknown} value
 * @param {string} where
 * @returns {Arrow}
 */
function readArrow(value, where) {
  if (!isObject(value)) throw new HintsError("notItem", { where });
  const range = settings.hints.speed;
  const { speed = range.default } = value;
  const points = readPoints(value.points, where, 2);
  const [x, y] = points[0];
  if (points.every((p) => Math.hypot(p[0] - x, p[1] - y) < 1e-6)) throw new HintsError("noLength", { where });
  return { points, speed: readNumber(speed, where, range) };
}

/**
 * @param {unknown} value
 * @param {string} where
 * @returns {Stroke}
 */
function readStroke(value, where) {
  if (!isObject(value)) throw new HintsError("notItem", { where });
  const limits = settings.hints;
  const { radius = limits.radius.default, mode: name = "move", feather = limits.feather.default } = value;
  const mode = limits.modes.find((known) => known === name);
  if (!mode) throw new HintsError("badMode", { where });
  return {
    points: readPoints(value.points, where, 1),
    radius: readNumber(radius, where, limits.radius),
    mode,
    feather: readNumber(feather, where, limits.feather),
  };
}
