// The tools by name.

import { ArrowTool } from "./arrow.js";
import { BrushTool } from "./brush.js";
import { PinTool } from "./pin.js";
import { SelectTool } from "./select.js";

/** @import { MotionEditor } from "../editor.js" */
/** @import { Tool } from "./tool.js" */
/** @typedef {"select" | "arrow" | "pin" | "move" | "freeze" | "erase"} ToolName */

/**
 * @param {MotionEditor} editor
 * @returns {Record<ToolName, Tool>}
 */
export function makeTools(editor) {
  return {
    select: new SelectTool(editor),
    arrow: new ArrowTool(editor),
    pin: new PinTool(editor),
    move: new BrushTool(editor, "move"),
    freeze: new BrushTool(editor, "freeze"),
    erase: new BrushTool(editor, "erase"),
  };
}
