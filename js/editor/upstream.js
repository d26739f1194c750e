// What lies upstream of a node: where its links begin, and what the nodes there are set to.

export const MAX_UPSTREAM = 12; // nodes
const SUBGRAPH_INPUT = -10; // the origin of links that come into a subgraph
const BYPASSED = 4; // a node's mode

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
export function imageInput(app, node) {
  return inputOrigin(app, node, node.inputs?.findIndex(({ name }) => name === "image") ?? -1);
}

/**
 * The node that the first linked input for images comes from.
 * @param {Comfy.App} app
 * @param {Comfy.Node} node
 */
export function imageOrigin(app, node) {
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
 * A hash of all that a node's image depends on in the graph: the nodes upstream, their links and their widgets.
 * @param {Comfy.App} app
 * @param {Comfy.Node} node
 */
export function upstreamState(app, node) {
  const nodes = allNodes(app);
  const seen = new Set();
  /** @type {unknown[]} */
  const found = [sourceKey(app, node)];
  /** @param {any} origin */
  const visit = (origin) => {
    if (!origin || seen.has(origin)) return;
    seen.add(origin);
    const inputs = (origin.inputs ?? []).map((/** @type {any} */ _, /** @type {number} */ i) => inputOrigin(app, origin, i));
    const links = inputs.map((/** @type {any} */ input) => input && [input.origin.id, input.slot]);
    found.push(origin.id, origin.type, origin.mode, widgetValues(origin), links);
    for (const input of inputs) visit(input?.origin);
    // A subgraph's node holds the values of the widgets that it shows.
    visit(nodes.find((other) => other.subgraph === origin.graph));
  };
  visit(imageInput(app, node)?.origin);
  let hash = 2166136261; // FNV-1a
  for (const letter of JSON.stringify(found)) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 16777619);
  return (hash >>> 0).toString(16);
}

/** @param {any} node */
function widgetValues(node) {
  return (node.widgets ?? [])
    .filter((/** @type {any} */ widget) => widget.serialize !== false && widget.options?.serialize !== false)
    .map((/** @type {any} */ { name, value }) => [name, value]);
}
