// %date:yyyy-MM-dd% and %Load Image.image% in Save Cinemagraph's filename_prefix mean what they mean in core's Save Image.

import { app } from "../../scripts/app.js";

app.registerExtension({
  name: "Text2Cinemagraph.FilenameTokens",
  /** @param {any} node */
  nodeCreated(node) {
    if (node.comfyClass !== "SaveCinemagraph") return;
    const widget = node.widgets?.find((/** @type {any} */ entry) => entry.name === "filename_prefix");
    const replace = /** @type {any} */ (window).comfyAPI?.utils?.applyTextReplacements;
    if (widget && replace) widget.serializeValue = () => replace(app.rootGraph ?? app.graph, widget.value);
  },
});
