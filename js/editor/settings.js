// Limits and defaults, as the server has them: nodes/editor_settings.py.

/** @typedef {{ default: number, min: number, max: number, step: number }} Range */
/** @typedef {"move" | "freeze" | "erase"} StrokeMode */
/**
 * @typedef {object} HintLimits
 * @property {number} version of the hints' text
 * @property {number} max_items arrows, pins or strokes
 * @property {number} max_points points of all arrows and strokes together
 * @property {number} max_text characters
 * @property {{ min: number, max: number }} coordinate normalised
 * @property {Range} speed of an arrow, px/frame at the reference size
 * @property {Range} radius of a stroke, fraction of the longer side
 * @property {Range} feather of a stroke, fraction of its radius
 * @property {StrokeMode[]} modes of a stroke
 */
/** @typedef {{ frames: number, frame_rate: number, speed: number }} Loop */
/**
 * @typedef {object} Settings
 * @property {number} reference_size pixels of the longer side of an image that speeds refer to
 * @property {number} max_image_side pixels of the image that the editor shows
 * @property {HintLimits} hints
 * @property {Loop} loop defaults of the nodes that make the loop
 * @property {{ min_side: number, max_side: number, flow: string[], mask: string[] }} preview sizes of its image, and the
 *   inputs of Flow Predictor and Real Image Segmenter that it takes
 */

/** Empty until `loadSettings` is done; no editor is made before. */
export const settings = /** @type {Settings} */ ({});

/** @param {Comfy.Api} api */
export async function loadSettings(api) {
  const response = await api.fetchApi("/text2cinemagraph/settings");
  if (!response.ok) throw new Error(`the server's settings: HTTP ${response.status}`);
  Object.assign(settings, await response.json());
}
