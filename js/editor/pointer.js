// Mouse, pen and fingers on the stage: drawing with the active tool, panning and zooming the view.

import { distance } from "./geometry.js";

/** @import { MotionEditor } from "./editor.js" */
/** @import { Point } from "./geometry.js" */

const WHEEL_ZOOM = 0.0015; // log of the zoom per pixel of the wheel
const [LEFT, MIDDLE, RIGHT] = [0, 1, 2];

export class PointerController {
  /** @param {MotionEditor} editor */
  constructor(editor) {
    this.editor = editor;
    /** Pressed pointers and where they are. @type {Map<number, Point>} */
    this.pointers = new Map();
    this.panning = false;
    /** Which pointer draws. @type {number | null} */
    this.drawing = null;
    this.listen(editor.stage.element);
  }

  /**
   * The event's point in CSS pixels of the stage, whatever the graph's zoom.
   * @param {MouseEvent} event
   * @returns {Point}
   */
  stagePoint(event) {
    const { element } = this.editor.stage;
    const rect = element.getBoundingClientRect();
    const scale = rect.width / element.clientWidth || 1;
    return [(event.clientX - rect.left) / scale, (event.clientY - rect.top) / scale];
  }

  /** @param {HTMLElement} element */
  listen(element) {
    element.addEventListener("pointerdown", (event) => this.pointerDown(event));
    element.addEventListener("pointermove", (event) => this.pointerMove(event));
    element.addEventListener("pointerup", (event) => this.pointerUp(event));
    element.addEventListener("pointercancel", (event) => this.pointerUp(event, true));
    element.addEventListener("pointerenter", () => this.setHovered(true));
    element.addEventListener("pointerleave", () => this.setHovered(false));
    element.addEventListener("dblclick", (event) => {
      if (this.editor.editable) this.editor.activeTool.double(this.stagePoint(event));
    });
    element.addEventListener("mousedown", (event) => {
      if (event.target !== this.editor.text) event.preventDefault(); // the browser would take the focus away again
    });
    element.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      event.stopPropagation(); // the node's own menu
    });
    element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  /** @param {boolean} hovered */
  setHovered(hovered) {
    const { editor } = this;
    editor.hovered = hovered;
    if (hovered) editor.stage.resize();
    else editor.activeTool.leave();
    if (editor.live.mode === "warp") editor.stage.redraw("hints");
  }

  /** @param {PointerEvent} event */
  pointerDown(event) {
    const { editor } = this;
    event.stopPropagation();
    if (event.target === editor.text) return;
    editor.focus();
    const point = this.stagePoint(event);
    this.pointers.set(event.pointerId, point);
    editor.stage.element.setPointerCapture(event.pointerId);
    if (this.pointers.size === 2) {
      editor.activeTool.cancel();
      this.drawing = null;
      editor.stage.redraw("hints", "overlay");
      return;
    }
    if (event.button === MIDDLE || event.button === RIGHT || editor.spacePressed) this.panning = true;
    else if (editor.editable && event.button === LEFT) {
      this.drawing = event.pointerId;
      editor.activeTool.down(point, event);
    }
  }

  /** @param {PointerEvent} event */
  pointerMove(event) {
    const { editor } = this;
    const point = this.stagePoint(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      editor.stage.element.style.cursor = editor.editable ? editor.activeTool.cursor(point) : "default";
      if (editor.editable) editor.activeTool.hover(point);
      return;
    }
    event.stopPropagation();
    if (this.pointers.size >= 2) this.pinch(event.pointerId, before, point);
    else if (this.panning) this.pan(point[0] - before[0], point[1] - before[1]);
    else if (this.drawing === event.pointerId) {
      // All the points since the last frame, for a smooth line.
      const coalesced = event.getCoalescedEvents?.() ?? [];
      for (const each of coalesced.length ? coalesced : [event]) {
        editor.activeTool.drag(this.stagePoint(each), event);
      }
    }
    this.pointers.set(event.pointerId, point);
  }

  /**
   * @param {number} id
   * @param {Point} before
   * @param {Point} point
   */
  pinch(id, before, point) {
    const [, other] = [...this.pointers].find(([key]) => key !== id) ?? [id, before];
    this.editor.stage.view.zoomAt(other, distance(point, other) / Math.max(1, distance(before, other)));
    this.pan((point[0] - before[0]) / 2, (point[1] - before[1]) / 2);
  }

  /**
   * @param {number} dx
   * @param {number} dy
   */
  pan(dx, dy) {
    this.editor.stage.view.pan(dx, dy);
    this.editor.stage.viewChanged();
  }

  /** @param {PointerEvent} event */
  pointerUp(event, cancelled = false) {
    if (!this.pointers.delete(event.pointerId)) return;
    event.stopPropagation();
    const { activeTool, stage } = this.editor;
    if (this.drawing === event.pointerId) {
      if (cancelled) activeTool.cancel();
      else activeTool.up(this.stagePoint(event), event);
      this.drawing = null;
      stage.redraw("hints", "overlay");
    }
    if (!this.pointers.size) this.panning = false;
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    const { editor } = this;
    if (event.target === editor.text) {
      event.stopPropagation();
      return;
    }
    // Until it is clicked the editor leaves the wheel to the graph.
    if (!editor.element.contains(document.activeElement)) {
      editor.onUnfocusedWheel(event);
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    editor.stage.view.zoomAt(this.stagePoint(event), Math.exp(-event.deltaY * WHEEL_ZOOM));
    editor.stage.viewChanged();
  }
}
