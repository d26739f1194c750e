// Mouse, pen and fingers on the stage: drawing with the chosen tool, moving and zooming the view.

import { distance } from "./geometry.js";

export class PointerHand {
  constructor(editor) {
    this.editor = editor;
    this.pointers = new Map();
    this.panning = false;
    this.drawing = null; // the pointer that draws
    this.listen();
  }

  /** The event's place in CSS pixels of the stage, whatever the graph's zoom. */
  place(event) {
    const { element } = this.editor.stage;
    const rect = element.getBoundingClientRect();
    const scale = rect.width / element.clientWidth || 1;
    return [(event.clientX - rect.left) / scale, (event.clientY - rect.top) / scale];
  }

  listen() {
    const on = (name, handler, options) => this.editor.stage.element.addEventListener(name, handler, options);
    on("pointerdown", (event) => this.pointerDown(event));
    on("pointermove", (event) => this.pointerMove(event));
    on("pointerup", (event) => this.pointerUp(event));
    on("pointercancel", (event) => this.pointerUp(event, true));
    on("pointerenter", () => this.enter(true));
    on("pointerleave", () => this.enter(false));
    on("dblclick", (event) => this.editor.editable && this.editor.activeTool.double?.(this.place(event)));
    // The browser would take the focus away again.
    on("mousedown", (event) => event.target !== this.editor.text && event.preventDefault());
    on("contextmenu", (event) => event.preventDefault());
    on("wheel", (event) => this.wheel(event), { passive: false });
  }

  enter(inside) {
    this.editor.inside = inside;
    if (inside) this.editor.stage.resize();
    else this.editor.activeTool.leave?.();
    if (this.editor.live.mode === "picture") this.editor.stage.redraw("hints");
  }

  pointerDown(event) {
    event.stopPropagation();
    if (event.target === this.editor.text) return;
    this.editor.focus();
    const at = this.place(event);
    this.pointers.set(event.pointerId, at);
    this.editor.stage.element.setPointerCapture(event.pointerId);
    if (this.pointers.size === 2) {
      this.editor.activeTool.cancel?.();
      this.drawing = null;
      this.editor.stage.redraw("hints", "hand");
      return;
    }
    if (event.button === 1 || event.button === 2 || this.editor.space) this.panning = true;
    else if (this.editor.editable && event.button === 0) {
      this.drawing = event.pointerId;
      this.editor.activeTool.down(at, event);
    }
  }

  pointerMove(event) {
    const at = this.place(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      const tool = this.editor.activeTool;
      this.editor.stage.element.style.cursor = this.editor.editable ? tool.cursor(at) : "default";
      if (this.editor.editable) tool.hover?.(at);
      return;
    }
    event.stopPropagation();
    if (this.pointers.size >= 2) this.pinch(event.pointerId, before, at);
    else if (this.panning) this.pan(at[0] - before[0], at[1] - before[1]);
    else if (this.drawing === event.pointerId) {
      // All the places since the last frame, for a smooth line.
      const all = event.getCoalescedEvents?.() ?? [];
      for (const one of all.length ? all : [event]) this.editor.activeTool.drag(this.place(one), event);
    }
    this.pointers.set(event.pointerId, at);
  }

  pinch(id, before, at) {
    const other = [...this.pointers].find(([key]) => key !== id)[1];
    this.editor.stage.view.zoomAt(other, distance(at, other) / Math.max(1, distance(before, other)));
    this.pan((at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
  }

  pan(dx, dy) {
    this.editor.stage.view.pan(dx, dy);
    this.editor.stage.viewChanged();
  }

  pointerUp(event, cancelled = false) {
    if (!this.pointers.delete(event.pointerId)) return;
    event.stopPropagation();
    const tool = this.editor.activeTool;
    if (this.drawing === event.pointerId) {
      if (cancelled) tool.cancel?.();
      else tool.up(this.place(event), event);
      this.drawing = null;
      this.editor.stage.redraw("hints", "hand");
    }
    if (!this.pointers.size) this.panning = false;
  }

  wheel(event) {
    if (event.target === this.editor.text) {
      event.stopPropagation();
      return;
    }
    // Until it is clicked the editor leaves the wheel to the graph.
    if (!this.editor.element.contains(document.activeElement)) {
      this.editor.onIdleWheel(event);
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    this.editor.stage.view.zoomAt(this.place(event), Math.exp(-event.deltaY * 0.0015));
    this.editor.stage.viewChanged();
  }
}
