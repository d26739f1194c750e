// Which picture the hints are drawn on, and its bitmap at a size fit for the screen.

const MOST_UPSTREAM = 12;
const MOST_PIXELS = 100e6; // decoded it would take 400 MB
const LONGEST = 2048;
const HEAD = 65536;

function viewUrl(api, { filename, subfolder = "", type = "input" }) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
}

/** "folder/name.png [output]" as ComfyUI's file widgets write it. */
function namedFile(value) {
  const [, path, type] = /^(.*?)(?: \[(input|output|temp)\])?$/.exec(value);
  const at = path.lastIndexOf("/");
  return { filename: path.slice(at + 1), subfolder: path.slice(0, Math.max(at, 0)), type: type ?? "input" };
}

/** The file that a loading node names, if it is one. */
function loadedFile(api, node) {
  const widget = node.widgets?.find((w) => w.name === "image" && typeof w.value === "string" && w.value);
  const loads = /^LoadImage/.test(node.comfyClass ?? "") || widget?.options?.image_upload;
  return widget && loads ? viewUrl(api, namedFile(widget.value)) : null;
}

/** What a node showed when it last ran. */
function shown(app, node) {
  const files = app.nodeOutputs?.[node.id]?.images;
  if (files?.length && !/\.(mp4|webm|gif)$/i.test(files[0].filename ?? "")) return viewUrl(app.api, files[0]);
  return node.imgs?.[0]?.src ?? null;
}

function originOf(node, name) {
  const index = node.inputs?.findIndex((input) => input.name === name) ?? -1;
  if (index < 0) return null;
  try {
    const origin = node.getInputNode(index);
    return origin ? { origin, slot: node.getInputLink(index)?.origin_slot } : null;
  } catch {
    return null; // the border of a subgraph: its inside does not see what is connected outside
  }
}

function imageOrigin(node) {
  for (const input of node.inputs ?? []) {
    if (input.type === "IMAGE" && input.link != null) return originOf(node, input.name);
  }
  return null;
}

/** Names what is connected to the image input, so that an old picture of another source is not shown; "" if nothing. */
export function sourceName(node) {
  const found = originOf(node, "image");
  return found ? `${found.origin.id}:${found.slot}` : "";
}

/**
 * URLs of the picture for a node, best first: the file that is loaded, what the node saw when it last ran, what the
 * connected node showed or the nearest picture upstream. Empty without any.
 */
export function pictureUrls(app, node, lastSeen) {
  const first = originOf(node, "image");
  if (!first) return [];
  const seen = lastSeen?.source === sourceName(node) ? viewUrl(app.api, lastSeen.file) : null;
  let upstream = null;
  let at = first.origin;
  for (let i = 0; at && !upstream && i < MOST_UPSTREAM; i++) {
    upstream = loadedFile(app.api, at) ?? shown(app, at);
    at = imageOrigin(at)?.origin;
  }
  return [loadedFile(app.api, first.origin), seen, upstream].filter((url, i, all) => url && all.indexOf(url) === i);
}

/** Width and height out of the first bytes of a PNG, JPEG or WebP; null for others. */
export function sizeInHead(bytes) {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tag = (at) => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (bytes.length > 24 && tag(12) === "IHDR") return { width: data.getUint32(16), height: data.getUint32(20) };
  if (bytes.length > 30 && tag(0) === "RIFF" && tag(8) === "WEBP") return webpSize(data, bytes, tag(12));
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  for (let at = 2; at + 9 < bytes.length; at += 2 + data.getUint16(at + 2)) {
    const marker = bytes[at + 1];
    const frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (frame) return { width: data.getUint16(at + 7), height: data.getUint16(at + 5) };
  }
  return null;
}

function webpSize(data, bytes, kind) {
  const three = (at) => bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16);
  if (kind === "VP8X") return { width: three(24) + 1, height: three(27) + 1 };
  if (kind === "VP8 ") return { width: data.getUint16(26, true) & 0x3fff, height: data.getUint16(28, true) & 0x3fff };
  const packed = data.getUint32(21, true);
  return { width: (packed & 0x3fff) + 1, height: ((packed >> 14) & 0x3fff) + 1 };
}

/** Why a picture is not shown; `key` names the sentence in words.js. */
export class PictureError extends Error {
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

/** The picture as {source, width, height}, source a bitmap of at most 2048 pixels. Throws PictureError. */
export async function loadPicture(url, signal) {
  const response = await fetch(url, { signal });
  if (!response.ok || !response.body) throw new PictureError("pictureFailed");
  const blob = await readUnlessTooLarge(response);
  let whole;
  try {
    whole = await createImageBitmap(blob);
  } catch {
    throw new PictureError("pictureFailed");
  }
  const { width, height } = whole;
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  if (scale === 1) return { source: whole, width, height };
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(whole, 0, 0, canvas.width, canvas.height);
  whole.close();
  return { source: canvas, width, height };
}

/** The body; stops reading as soon as its head says that the picture is too large to decode here. */
async function readUnlessTooLarge(response) {
  const reader = response.body.getReader();
  const parts = [];
  let length = 0;
  let checked = false;
  for (;;) {
    const { done, value } = await reader.read();
    if (value) {
      parts.push(value);
      length += value.length;
    }
    if (!checked && (done || length >= HEAD)) {
      checked = true;
      const size = sizeInHead(new Uint8Array(await new Blob(parts).slice(0, HEAD).arrayBuffer()));
      if (size && size.width * size.height > MOST_PIXELS) {
        await reader.cancel();
        throw new PictureError("pictureTooLarge", size);
      }
    }
    if (done) return new Blob(parts);
  }
}
