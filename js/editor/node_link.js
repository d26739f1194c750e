// Between a Motion Hints node and its editor: the text widget, the connected picture, the nodes downstream, the server.

import { fieldFromAnswer } from "./field.js";
import { isEmpty } from "./hints.js";
import { loadPicture, pictureUrls, sourceName } from "./picture.js";
import { askSolver } from "./solver.js";
import { downstream } from "./surroundings.js";
import { say } from "./words.js";

const LOOK = 300; // milliseconds between looks at what may have changed without an event
const REST = 350; // milliseconds the hand must rest before the server is asked
const SMALLEST_HEIGHT = 300;
const WIDGET = "motion_editor";
const SEEN = "t2c_picture"; // the node's property that remembers the picture of the last run

export class NodeLink {
  constructor(app, api, node, editor) {
    Object.assign(this, { app, api, node, editor });
    this.text = node.widgets.find((widget) => widget.name === "hints");
    this.shownText = undefined;
    this.shown = undefined;
    this.timers = {};
  }

  attach() {
    const { node, editor } = this;
    this.host = document.createElement("div");
    this.host.className = "t2c-host";
    this.host.dataset.captureWheel = "true";
    this.host.append(editor.element);
    const options = { serialize: false, hideOnZoom: false, hideInPanel: true, getMinHeight: () => SMALLEST_HEIGHT };
    this.widget = node.addDOMWidget(WIDGET, "T2C_EDITOR", this.host, options);
    this.widget.serialize = false;
    // The editor has a place of its own for the text.
    this.text.hidden = this.text.options.hidden = true;
    if (this.text.element) this.text.element.hidden = true;

    editor.onText = (text) => this.write(text);
    editor.onHints = (hints) => this.askLater(hints);
    editor.onEnlarge = (wanted) => this.enlarge(wanted);
    editor.onIdleWheel = (event) => this.passWheel(event);

    const { onExecuted, onRemoved } = node;
    node.onExecuted = (output) => {
      onExecuted?.call(node, output);
      this.seen(output);
    };
    node.onRemoved = () => {
      onRemoved?.call(node);
      this.release();
    };
    this.timers.look = setInterval(() => this.look(), LOOK);
    this.look();
  }

  release() {
    clearInterval(this.timers.look);
    clearTimeout(this.timers.ask);
    this.loading?.abort();
    this.asking?.abort();
    this.dialog?.remove();
    this.editor.release();
  }

  // ---- the text widget ---------------------------------------------------------------------------------------

  write(text) {
    this.shownText = text;
    this.text.value = text;
    this.node.graph?.setDirtyCanvas?.(true, false);
    // Keys that the editor keeps to itself do not reach ComfyUI, which would look for changes after them.
    const tracker = this.app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
    (tracker?.captureCanvasState ?? tracker?.checkState)?.call(tracker);
  }

  /** Look at everything that can change without telling: text, links, picture, place in the page. */
  look() {
    const { editor, node } = this;
    const linked = node.inputs?.some((input) => input.name === "hints" && input.link != null) ?? false;
    if (linked !== editor.linked) {
      editor.linked = linked;
      editor.refresh();
    }
    const text = this.text.value ?? "";
    if (text !== this.shownText) {
      if (this.shownText === undefined) editor.start(text);
      else editor.setText(text);
      this.shownText = text;
    }
    const urls = pictureUrls(this.app, node, node.properties?.[SEEN]);
    const shown = [sourceName(node), ...urls].join();
    if (shown !== this.shown) {
      this.shown = shown;
      this.load(urls);
    }
    const { settings, loop } = downstream(node);
    editor.live.setLoop(loop);
    const known = JSON.stringify(settings);
    if (known !== this.knownSettings) {
      this.knownSettings = known;
      this.askLater(editor.hints);
    }
    editor.live.start();
  }

  // ---- the picture -------------------------------------------------------------------------------------------

  /** A run has ended: the node says which picture it saw. */
  seen(output) {
    const file = output?.t2c_picture?.[0];
    if (!file) return;
    this.node.properties ??= {};
    this.node.properties[SEEN] = { source: sourceName(this.node), file };
    this.look();
  }

  /** Show the first of the pictures that can be shown; if none can, say what is wrong with the best. */
  async load(urls) {
    this.loading?.abort();
    this.loading = new AbortController();
    const { signal } = this.loading;
    let problem = { key: sourceName(this.node) ? "noPictureYet" : "noPicture" };
    for (const [i, url] of urls.entries()) {
      try {
        const image = await loadPicture(url, signal);
        if (signal.aborted) return;
        this.editor.setPicture(image);
        this.askLater(this.editor.hints);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (i === 0) problem = error.key ? error : { key: "pictureFailed" };
      }
    }
    this.editor.setPicture(null, say(problem.key, problem.values));
  }

  // ---- the solver --------------------------------------------------------------------------------------------

  askLater(hints) {
    clearTimeout(this.timers.ask);
    this.asking?.abort();
    this.editor.solved = undefined;
    const { live, stage } = this.editor;
    if (live.mode === "off" || !stage.image || !this.editor.editable || isEmpty(hints)) return;
    this.timers.ask = setTimeout(() => this.ask(hints), REST);
  }

  async ask(hints) {
    const { editor } = this;
    this.asking = new AbortController();
    const { signal } = this.asking;
    try {
      const answer = await askSolver(this.api, editor.stage.image, hints, downstream(this.node).settings, signal);
      if (signal.aborted) return;
      editor.live.setField(fieldFromAnswer(answer, editor.stage.view.picture));
      editor.solved = say("liveSolved");
    } catch (error) {
      if (signal.aborted) return;
      editor.solved = say("liveFailed", { reason: error.message });
    }
    editor.show();
  }

  // ---- the page ----------------------------------------------------------------------------------------------

  /** Move the editor into a dialog over the whole window, and back. */
  enlarge(wanted) {
    const { editor } = this;
    if (wanted === !!editor.enlarged) return;
    editor.enlarged = wanted;
    if (wanted) {
      this.dialog ??= this.makeDialog();
      this.dialog.firstChild.append(editor.element);
      this.dialog.showModal();
    } else {
      this.host.append(editor.element);
      this.dialog.close();
    }
    editor.toolbar.refresh();
    editor.focus();
  }

  makeDialog() {
    const dialog = document.createElement("dialog");
    dialog.className = "t2c-dialog";
    const host = document.createElement("div");
    host.className = "t2c-host";
    dialog.append(host);
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.enlarge(false);
    });
    document.body.append(dialog);
    return dialog;
  }

  /** Let the graph have a wheel that is not meant for the editor. */
  passWheel(event) {
    if (this.app.canvas?.processMouseWheel && !this.host.closest("[data-node-id]")) {
      event.preventDefault();
      this.app.canvas.processMouseWheel(event);
    }
  }
}
