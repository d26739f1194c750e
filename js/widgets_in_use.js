// What matters at first sight: widgets without effect at the chosen method are hidden (an input's "t2c_when" names the
// method's widget and its values), and in the classic renderer advanced ones wait behind a button, as in Nodes 2.0.

import { app } from "../../scripts/app.js";
import { t } from "./editor/i18n.js";

/** @typedef {Record<string, [string, unknown[]]>} Conditions by widget: another widget's name, and its values */

const OURS = /^custom_nodes\.[^.]*text2cinemagraph/i;
const ALWAYS = "Comfy.Node.AlwaysShowAdvancedWidgets";
const NODES_2 = "Comfy.VueNodes.Enabled";
const BUTTON = "t2c_advanced";

/**
 * @param {any} node
 * @returns {Conditions}
 */
function conditions(node) {
  const { required, optional } = node.constructor.nodeData?.input ?? {};
  const inputs = Object.entries({ ...required, ...optional });
  return Object.fromEntries(inputs.flatMap(([name, [, options]]) => (options?.t2c_when ? [[name, options.t2c_when]] : [])));
}

/** @param {any} node @param {string} name */
function widgetOf(node, name) {
  return node.widgets.find((/** @type {any} */ widget) => widget.name === name);
}

/**
 * Hide what is not wanted now; the node's height follows.
 * @param {any} node
 * @param {Conditions} when
 * @param {() => void} [change] what to do first
 */
function update(node, when, change) {
  const before = node.computeSize()[1];
  change?.();
  const button = widgetOf(node, BUTTON);
  for (const widget of node.widgets) {
    const [name, values] = when[widget.name] ?? [];
    const unused = Boolean(name && !values?.includes(widgetOf(node, name)?.value));
    // Nodes 2.0 folds advanced ones itself; newer pages read this property there, too, older ones the options alone.
    const folded = widget.options?.advanced && !node.showAdvanced && !app.ui.settings.getSettingValue(NODES_2);
    if (name) widget.options.hidden = unused;
    if (name || widget.options?.advanced) widget.hidden = unused || folded;
  }
  if (button) button.label = t(node.showAdvanced ? "hideAdvanced" : "showAdvanced");
  node.setSize([node.size[0], node.size[1] + node.computeSize()[1] - before]);
  node.setDirtyCanvas?.(true, true);
}

/** @param {any} node */
function attach(node) {
  const when = conditions(node);
  const again = () => update(node, when);
  const choosing = new Set(Object.values(when).map(([name]) => name));
  for (const widget of node.widgets) {
    if (!choosing.has(widget.name)) continue;
    const { callback } = widget;
    widget.callback = function (/** @type {any[]} */ ...values) {
      const result = callback?.apply(this, values);
      again();
      return result;
    };
  }
  const advanced = node.widgets.filter((/** @type {any} */ widget) => widget.options?.advanced);
  if (advanced.length) {
    for (const widget of advanced) widget.advanced = true; // which a node's height follows
    node.showAdvanced = Boolean(app.ui.settings.getSettingValue(ALWAYS));
    const button = node.addWidget("button", BUTTON, null, () => {
      update(node, when, () => (node.showAdvanced = !node.showAdvanced));
    });
    button.serialize = false;
    Object.assign(button.options, { serialize: false, canvasOnly: true });
  }
  app.ui.settings.addEventListener(`${NODES_2}.change`, () => node.graph && setTimeout(again));
  const { onConfigure } = node;
  node.onConfigure = function (/** @type {any[]} */ ...values) {
    onConfigure?.apply(this, values);
    // A saved node keeps the size it was given.
    const size = [...node.size];
    again();
    node.setSize(size);
  };
  again();
}

app.registerExtension({
  name: "Text2Cinemagraph.WidgetsInUse",
  /** @param {any} node */
  nodeCreated(node) {
    if (OURS.test(node.constructor.nodeData?.python_module ?? "") && node.widgets?.length) attach(node);
  },
});
