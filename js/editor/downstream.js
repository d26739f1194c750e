// What the nodes downstream of Motion Hints are set to, so that the preview shows what they will do.

import { settings } from "./settings.js";

/** @typedef {{ flow: Record<string, unknown>, mask: Record<string, unknown> }} NodeSettings */
/** @import { Loop } from "./settings.js" */

const MAX_DEPTH = 8;

/**
 * @param {Comfy.LGraphNode | null} node
 * @param {string} name
 */
function widgetValue(node, name) {
  return node?.widgets?.find((widget) => widget.name === name)?.value;
}

/**
 * @param {Comfy.LGraphNode | null} node
 * @param {string[]} names
 */
function widgetValues(node, names) {
  const values = names.map((name) => [name, widgetValue(node, name)]);
  return Object.fromEntries(values.filter(([, value]) => value !== undefined));
}

/**
 * @param {Comfy.LGraphNode | null} node
 * @param {string} name
 * @param {number} fallback
 */
function positiveValue(node, name, fallback) {
  const value = widgetValue(node, name);
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : fallback;
}

/**
 * The nearest node of a class that a node's outputs lead to.
 * @param {Comfy.LGraphNode | null} node
 * @param {string} comfyClass
 */
function findDownstream(node, comfyClass) {
  if (!node) return null;
  const seen = new Set([node.id]);
  let level = [node];
  for (let depth = 0; depth < MAX_DEPTH && level.length; depth++) {
    /** @type {Comfy.LGraphNode[]} */
    const next = [];
    for (const origin of level) {
      for (const other of (origin.outputs ?? []).flatMap((_, slot) => origin.getOutputNodes?.(slot) ?? [])) {
        if (seen.has(other.id)) continue;
        seen.add(other.id);
        next.push(other);
      }
    }
    const match = next.find((other) => other.comfyClass === comfyClass);
    if (match) return match;
    level = next;
  }
  return null;
}

/**
 * The inputs that the server's preview takes, and the loop that will be made.
 * @param {Comfy.LGraphNode} node
 * @returns {{ nodeSettings: NodeSettings, loop: Loop }}
 */
export function readDownstream(node) {
  const { preview, loop } = settings;
  const warp = findDownstream(node, "EulerianWarp");
  const end = findDownstream(warp, "SaveCinemagraph") ?? findDownstream(warp, "LoopBlend");
  const predictor = findDownstream(node, "FlowPredictor");
  const regions = predictor?.inputs?.some(({ name, link }) => name === "regions" && link != null) ?? false;
  return {
    nodeSettings: {
      flow: { ...widgetValues(predictor, preview.flow), regions },
      mask: widgetValues(findDownstream(node, "RealImageSegmenter"), preview.mask),
    },
    loop: {
      frames: positiveValue(warp, "frames", loop.frames),
      frame_rate: positiveValue(end, "frame_rate", loop.frame_rate),
      speed: positiveValue(warp, "speed", loop.speed),
    },
  };
}
