// Canvases and their 2D contexts.

/** @import { Size } from "./geometry.js" */
/** @typedef {ImageBitmap | HTMLCanvasElement} Bitmap */

/**
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} [options]
 */
export function context2d(canvas, options) {
  const context = canvas.getContext("2d", options);
  if (!context) throw new Error("this browser gives no more 2D canvases");
  return context;
}

/**
 * An image resized to a canvas of its own.
 * @param {Bitmap} source
 * @param {number} width
 * @param {number} height
 * @param {CanvasRenderingContext2DSettings} [options]
 */
export function resized(source, width, height, options) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = context2d(canvas, options);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return canvas;
}

/**
 * The size of an image whose longer side is scaled to `side`, or by 1 if it is no longer; no side below `least`.
 * @param {Size} size
 * @param {number} side
 * @returns {[width: number, height: number]}
 */
export function fitWithin({ width, height }, side, least = 1) {
  const scale = Math.min(1, side / Math.max(width, height));
  return [Math.max(least, Math.round(width * scale)), Math.max(least, Math.round(height * scale))];
}
