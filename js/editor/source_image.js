// Which image the hints are drawn on, and its bitmap at a size fit for the screen.

import { fitWithin, resized } from "./canvas.js";
import { settings } from "./settings.js";

/** @import { Bitmap } from "./canvas.js" */
/** @import { Size } from "./geometry.js" */
/** @import { MessageKey, Values } from "./i18n.js" */
/**
 * The bitmap, and the size of the whole image.
 * @typedef {Size & { source: Bitmap }} SourceImage
 */
/**
 * The image of the last run, and where it came from: `sourceKey`.
 * @typedef {{ source: string, file: Comfy.ImageFile }} SeenImage
 */

const MAX_UPSTREAM = 12; // nodes
const SUBGRAPH_INPUT = -10; // the origin of links that come into a subgraph
const BYPASSED = 4; // a node's mode
const MAX_PIXELS = 100e6; // decoded it would take 400 MB
const HEAD_BYTES = 65536;

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
 * Where an input's link begins, across the borders of subgraphs and through what only hands on: reroutes, bypassed nodes,
 * a pair of Set and Get nodes. Null where nothing is connected.
 * @param {Comfy.App} app
 * @param {any} node
 * @param {number} index
 * @returns {{ origin: any, slot: number } | null}
 */
function inputOrigin(app, node, index) {
  for (let i = 0; i < MAX_UPSTREAM && node?.graph && index >= 0; i++) {
    const link = node.graph.getLink?.(node.inputs?.[index]?.link);
    if (!link) return null;
    if (link.origin_id === SUBGRAPH_INPUT) {
      const inside = node.graph;
      node = allNodes(app).find((other) => other.subgraph === inside);
      index = link.origin_slot;
      continue;
    }
    const origin = node.graph.getNodeById(link.origin_id);
    const next = origin && handedOn(origin, link.origin_slot);
    if (!next) return origin ? { origin, slot: link.origin_slot } : null;
    [node, index] = next;
  }
  return null;
}

/**
 * The node and the input whose value a node hands on unchanged; null if it makes its own.
 * @param {any} node
 * @param {number} slot
 * @returns {[any, number] | null}
 */
function handedOn(node, slot) {
  if (node.subgraph && node.mode !== BYPASSED) {
    const link = node.subgraph.getLink?.(node.subgraph.outputs?.[slot]?.linkIds?.[0]);
    // A node that stands for the link into the subgraph's output.
    return link ? [{ graph: node.subgraph, inputs: [{ link: link.id }] }, 0] : null;
  }
  if (node.mode === BYPASSED) {
    const type = node.outputs?.[slot]?.type;
    return [node, node.inputs?.findIndex((/** @type {any} */ i) => i.type === type && i.link != null) ?? -1];
  }
  if (node.type === "Reroute") return [node, 0];
  if (node.type !== "GetNode") return null;
  const name = node.widgets?.[0]?.value;
  const setter = node.graph._nodes?.find((/** @type {any} */ n) => n.type === "SetNode" && n.widgets?.[0]?.value === name);
  return setter ? [setter, 0] : null;
}

/**
 * The nodes of the graph and of every subgraph in it.
 * @param {Comfy.App} app
 * @returns {any[]}
 */
function allNodes(app) {
  const root = /** @type {any} */ (app.rootGraph ?? app.graph);
  return [root, ...(root?.subgraphs?.values() ?? [])].flatMap((graph) => graph?._nodes ?? []);
}

/** @param {Comfy.App} app @param {Comfy.Node} node */
function imageInput(app, node) {
  return inputOrigin(app, node, node.inputs?.findIndex(({ name }) => name === "image") ?? -1);
}

/**
 * The node that the first linked input for images comes from.
 * @param {Comfy.App} app
 * @param {Comfy.Node} node
 */
function imageOrigin(app, node) {
  const index = node.inputs?.findIndex(({ type, link }) => type === "IMAGE" && link != null) ?? -1;
  return inputOrigin(app, node, index)?.origin ?? null;
}

/**
 * Names what is linked to the image input, so that an old image of another source is not shown; "" if nothing is.
 * @param {Comfy.App} app
 * @param {Comfy.Node} node
 */
export function sourceKey(app, node) {
  const input = imageInput(app, node);
  return input ? `${input.origin.id}:${input.slot}` : "";
}

/**
 * URLs of the image for a node, best first: the file that is loaded, what the node saw when it last ran, what the
 * linked node showed or the nearest image upstream. Empty without any.
 * @param {Comfy.App} app
 * @param {Comfy.Node} node
 * @param {SeenImage | undefined} lastSeen
 */
export function imageUrls(app, node, lastSeen) {
  const origin = imageInput(app, node)?.origin;
  if (!origin) return [];
  const seen = lastSeen?.source === sourceKey(app, node) ? viewUrl(app.api, lastSeen.file) : null;
  let upstream = null;
  /** @type {Comfy.Node | null} */
  let ancestor = origin;
  for (let i = 0; ancestor && !upstream && i < MAX_UPSTREAM; i++) {
    upstream = loadedUrl(app.api, ancestor) ?? shownUrl(app, ancestor);
    ancestor = imageOrigin(app, ancestor);
  }
  const urls = [loadedUrl(app.api, origin), seen, upstream].filter((url) => url !== null);
  return [...new Set(urls)];
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
 * The image as a bitmap no larger than the editor shows. Throws ImageError.
 * @param {string} url
 * @param {AbortSignal} signal
 * @returns {Promise<SourceImage>}
 */
export async function loadImage(url, signal) {
  const response = await fetch(url, { signal });
  if (!response.ok || !response.body) throw new ImageError("imageFailed");
  const blob = await readUnlessTooLarge(response.body);
  const bitmap = await createImageBitmap(blob).catch(() => {
    throw new ImageError("imageFailed");
  });
  const { width, height } = bitmap;
  const side = settings.max_image_side;
  if (Math.max(width, height) <= side) return { source: bitmap, width, height };
  const source = resized(bitmap, ...fitWithin(bitmap, side));
  bitmap.close();
  return { source, width, height };
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
