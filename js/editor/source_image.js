// Which image the hints are drawn on, and its bitmap at a size fit for the screen.

import { context2d, fitWithin, resized } from "./canvas.js";
import { settings } from "./settings.js";
import { imageInput, imageOrigin, MAX_UPSTREAM, sourceKey, upstreamState } from "./upstream.js";

/** @import { Size } from "./geometry.js" */
/** @import { MessageKey, Values } from "./i18n.js" */
/**
 * The bitmap, and the size of the whole image.
 * @typedef {Size & { source: HTMLCanvasElement }} SourceImage
 */
/**
 * The image of the last run, where it came from (`sourceKey`), and what was set upstream then (`upstreamState`).
 * @typedef {{ source: string, file: Comfy.ImageFile, state?: string }} SeenImage
 */
/**
 * What an image is to the node; names the sentence. "imageFile", "imageRun": what the node gets; else it may differ.
 * @typedef {"imageFile" | "imageRun" | "imageStale" | "imageUpstream"} Origin
 */

const MAX_PIXELS = 100e6; // decoded it would take 400 MB
const HEAD_BYTES = 65536;
const CORE_LOADERS = ["LoadImage", "LoadImageOutput"];
/**
 * Core's loaders leave the numbers of a file as they are, whatever its colour profile says, and turn the image upright.
 * @type {ImageBitmapOptions}
 */
const AS_LOADED = { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image" };

/**
 * @param {Comfy.Api} api
 * @param {Comfy.ImageFile} file
 */
function viewUrl(api, { filename = "", subfolder = "", type = "input" }) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
}

/**
 * "folder/name.png [output]", as ComfyUI's file widgets write it.
 * @param {string} value
 * @returns {Comfy.ImageFile}
 */
function parseFile(value) {
  const [, path = "", type = "input"] = /^(.*?)(?: \[(input|output|temp)\])?$/.exec(value) ?? [];
  const slash = path.lastIndexOf("/");
  return { filename: path.slice(slash + 1), subfolder: path.slice(0, Math.max(slash, 0)), type };
}

/**
 * URL of the file that a loading node names.
 * @param {Comfy.Api} api
 * @param {Comfy.Node} node
 */
function loadedUrl(api, node) {
  const widget = node.widgets?.find(({ name }) => name === "image");
  const value = widget?.value;
  const { image_upload: uploads } = /** @type {{ image_upload?: boolean }} */ (widget?.options ?? {});
  const loads = uploads || node.comfyClass?.startsWith("LoadImage");
  return loads && typeof value === "string" && value ? viewUrl(api, parseFile(value)) : null;
}

/**
 * URL of what a node showed when it last ran.
 * @param {Comfy.App} app
 * @param {Comfy.Node} node
 */
function shownUrl(app, node) {
  const file = app.nodeOutputs?.[node.id]?.images?.[0];
  if (file && !/\.(mp4|webm|gif)$/i.test(file.filename ?? "")) return viewUrl(app.api, file);
  return node.imgs?.[0]?.src ?? null;
}

/**
 * The images for a node, best first: the file that core's loader hands to it, what the node saw when it last ran, what
 * the linked node showed or the nearest image upstream. Empty without any.
 * @param {Comfy.App} app
 * @param {Comfy.Node} node
 * @param {SeenImage | undefined} lastSeen
 * @returns {{ url: string, origin: Origin }[]}
 */
export function knownImages(app, node, lastSeen) {
  const origin = imageInput(app, node)?.origin;
  if (!origin) return [];
  const loaded = CORE_LOADERS.includes(origin.comfyClass ?? "") ? loadedUrl(app.api, origin) : null;
  const seen = lastSeen?.source === sourceKey(app, node) ? viewUrl(app.api, lastSeen.file) : null;
  let upstream = null;
  /** @type {Comfy.Node | null} */
  let ancestor = origin;
  for (let i = 0; ancestor && !upstream && i < MAX_UPSTREAM; i++) {
    upstream = loadedUrl(app.api, ancestor) ?? shownUrl(app, ancestor);
    ancestor = imageOrigin(app, ancestor);
  }
  /** @type {Map<string, Origin>} */
  const images = new Map();
  if (loaded) images.set(loaded, "imageFile");
  if (seen) images.set(seen, lastSeen?.state === upstreamState(app, node) ? "imageRun" : "imageStale");
  if (upstream && !images.has(upstream)) images.set(upstream, "imageUpstream");
  return [...images].map(([url, kind]) => ({ url, origin: kind }));
}

/**
 * Width and height out of the first bytes of a PNG, JPEG or WebP; null for others.
 * @param {Uint8Array} bytes
 * @returns {Size | null}
 */
export function sizeInHead(bytes) {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tag = (/** @type {number} */ offset) => String.fromCharCode(...bytes.subarray(offset, offset + 4));
  if (bytes.length > 24 && tag(12) === "IHDR") return { width: data.getUint32(16), height: data.getUint32(20) };
  if (bytes.length > 30 && tag(0) === "RIFF" && tag(8) === "WEBP") return webpSize(data, tag(12));
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  for (let offset = 2; offset + 9 < bytes.length; offset += 2 + data.getUint16(offset + 2)) {
    const marker = bytes[offset + 1];
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return { width: data.getUint16(offset + 7), height: data.getUint16(offset + 5) };
  }
  return null;
}

/**
 * @param {DataView} data
 * @param {string} chunk
 */
function webpSize(data, chunk) {
  if (chunk === "VP8X") {
    return { width: (data.getUint32(24, true) & 0xffffff) + 1, height: (data.getUint32(26, true) >>> 8) + 1 };
  }
  if (chunk === "VP8 ") return { width: data.getUint16(26, true) & 0x3fff, height: data.getUint16(28, true) & 0x3fff };
  const packed = data.getUint32(21, true);
  return { width: (packed & 0x3fff) + 1, height: ((packed >> 14) & 0x3fff) + 1 };
}

/** Why an image is not shown; `key` names the sentence. */
export class ImageError extends Error {
  /**
   * @param {MessageKey} key
   * @param {Values} [values]
   */
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

/**
 * The image as a bitmap no larger than the editor shows, in the colours that a node gets. Throws ImageError.
 * @param {string} url of ComfyUI's /view
 * @param {AbortSignal} signal
 * @returns {Promise<SourceImage>}
 */
export async function loadImage(url, signal) {
  const image = await fetchImage(url, signal);
  // An IMAGE has no alpha, but the colours that are hidden under it; the server can tell those.
  return isOpaque(image.source) ? image : fetchImage(`${url}&channel=rgb`, signal);
}

/**
 * @param {string} url
 * @param {AbortSignal} signal
 * @returns {Promise<SourceImage>}
 */
async function fetchImage(url, signal) {
  const response = await fetch(url, { signal });
  if (!response.ok || !response.body) throw new ImageError("imageFailed");
  const blob = await readUnlessTooLarge(response.body);
  const bitmap = await createImageBitmap(blob, AS_LOADED).catch(() => {
    throw new ImageError("imageFailed");
  });
  const { width, height } = bitmap;
  const source = resized(bitmap, ...fitWithin(bitmap, settings.max_image_side), { willReadFrequently: true });
  bitmap.close();
  return { source, width, height };
}

/** @param {HTMLCanvasElement} canvas */
function isOpaque(canvas) {
  const { data } = context2d(canvas).getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 3; i < data.length; i += 4) if (data[i] < 255) return false;
  return true;
}

/**
 * The whole body; stops as soon as its head says that the image is too large to decode here.
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} body
 */
async function readUnlessTooLarge(body) {
  const reader = body.getReader();
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const chunks = [];
  let length = 0;
  let checked = false;
  for (;;) {
    const { done, value } = await reader.read();
    if (value) {
      chunks.push(value);
      length += value.length;
    }
    if (!checked && (done || length >= HEAD_BYTES)) {
      checked = true;
      const size = sizeInHead(new Uint8Array(await new Blob(chunks).slice(0, HEAD_BYTES).arrayBuffer()));
      if (size && size.width * size.height > MAX_PIXELS) {
        await reader.cancel();
        throw new ImageError("imageTooLarge", { width: size.width, height: size.height });
      }
    }
    if (done) return new Blob(chunks);
  }
}
