// Asks the server's solver for the motion field of a small copy of the picture.

import { formatHints } from "./hints.js";

const LONGER = 256;
const ROUTE = "/text2cinemagraph/preview";

/** The picture as a JPEG of at most 256 pixels, in base64. */
async function smallPicture({ source, width, height }) {
  const scale = Math.min(1, LONGER / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(8, Math.round(width * scale));
  canvas.height = Math.max(8, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.92).split(",")[1];
}

/** The server's answer; throws an Error with its reason. */
export async function askSolver(api, image, hints, settings, signal) {
  const body = JSON.stringify({ picture: await smallPicture(image), hints: formatHints(hints), settings });
  const response = await api.fetchApi(ROUTE, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body,
    signal,
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `HTTP ${response.status}`);
  return answer;
}
