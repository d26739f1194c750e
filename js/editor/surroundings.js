// What the nodes downstream of Motion Hints are set to, so that the preview shows what they will do.

const FLOW = ["direction", "prompt", "angle", "speed", "smoothness", "incompressibility", "follow_streaks", "perspective"];
const MASK = ["detail", "grow", "feather", "fill_holes", "min_area"];
const USUAL = { frames: 60, rate: 30, speed: 1 };

function value(node, name) {
  return node?.widgets?.find((widget) => widget.name === name)?.value;
}

function values(node, names) {
  const found = names.map((name) => [name, value(node, name)]).filter(([, v]) => v !== undefined);
  return Object.fromEntries(found);
}

/** The nodes of a class that a node's outputs lead to, nearest first. */
function following(node, comfyClass) {
  const seen = new Set([node.id]);
  let level = [node];
  for (let depth = 0; depth < 8 && level.length; depth++) {
    const next = [];
    for (const at of level) {
      for (let slot = 0; slot < (at.outputs?.length ?? 0); slot++) {
        for (const other of at.getOutputNodes?.(slot) ?? []) {
          if (seen.has(other.id)) continue;
          seen.add(other.id);
          next.push(other);
        }
      }
    }
    const found = next.find((other) => other.comfyClass === comfyClass);
    if (found) return found;
    level = next;
  }
  return null;
}

/** {settings: for the server's solver, loop: {frames, rate, speed} of the loop}. */
export function downstream(node) {
  const flow = following(node, "FlowPredictor");
  const mask = following(node, "RealImageSegmenter");
  const warp = following(node, "EulerianWarp");
  const end = warp && (following(warp, "SaveCinemagraph") ?? following(warp, "LoopBlend"));
  const number = (v, usual) => (Number.isFinite(v) && v > 0 ? v : usual);
  return {
    settings: { flow: values(flow, FLOW), mask: values(mask, MASK) },
    loop: {
      frames: number(value(warp, "frames"), USUAL.frames),
      rate: number(value(end, "frame_rate"), USUAL.rate),
      speed: number(value(warp, "speed"), USUAL.speed),
    },
  };
}
