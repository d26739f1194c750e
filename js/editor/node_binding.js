// Between a Motion Hints node and its editor: the text widget, the connected image, the nodes downstream, the server.

import { readDownstream } from "./downstream.js";
import { EnlargedDialog } from "./enlarged_dialog.js";
import { isEmpty, lacksStillPlaces } from "./hints.js";
import { t } from "./i18n.js";
import { decodeField } from "./motion_field.js";
import { PreviewClient } from "./preview_client.js";
import { ImageError, knownImages, loadImage } from "./source_image.js";
import { sourceKey, upstreamState } from "./upstream.js";

/** @import { MotionEditor } from "./editor.js" */
/** @import { Hints } from "./hints.js" */
/** @import { SeenImage } from "./source_image.js" */

const POLL = 300; // milliseconds
const MIN_HEIGHT = 300;
const WIDGET = "motion_editor";
const SEEN = "t2c_picture"; // the node's property, and its output's key, with the image of the last run

export class NodeBinding {
  /**
   * @param {Comfy.App} app
   * @param {Comfy.Api} api
   * @param {Comfy.Node} node
   * @param {MotionEditor} editor
   */
  constructor(app, api, node, editor) {
    this.app = app;
    this.node = node;
    this.editor = editor;
    const text = /** @type {Comfy.Widget | undefined} */ (node.widgets?.find(({ name }) => name === "hints"));
    if (!text) throw new Error("Motion Hints has no widget named hints");
    this.text = text;
    /** @type {string | undefined} The text that the editor shows. */
    this.shownText = undefined;
    /** @type {string | undefined} The images that were tried last. */
    this.shownImage = undefined;
    /** @type {string | null} The image that is shown. */
    this.shownUrl = null;
    /** @type {string | undefined} What was set upstream when a prompt was made last. */
    this.queuedState = undefined;
    this.knownSettings = "";
    this.loading = new AbortController();
    this.client = new PreviewClient(api);
    this.host = document.createElement("div");
    this.host.className = "t2c-host";
    this.host.dataset.captureWheel = "true";
    this.host.append(editor.element);
    this.dialog = new EnlargedDialog(this.host, editor.element, () => this.enlarge(false));
    this.timer = 0;
  }

  attach() {
    this.addWidget();
    this.listen();
    // A node that is made only to be copied from never gets into a graph.
    if (this.node.graph) this.start();
  }

  start() {
    if (this.timer) return;
    this.timer = setInterval(() => this.tick(), POLL);
    this.poll();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.loading.abort();
    this.client.cancel();
  }

  addWidget() {
    const options = { serialize: false, hideOnZoom: false, hideInPanel: true, getMinHeight: () => MIN_HEIGHT };
    const widget = this.node.addDOMWidget?.(WIDGET, "T2C_EDITOR", this.host, options);
    if (widget) Object.assign(widget, { serialize: false, label: this.text.label ?? this.text.name });
    // The editor shows the text itself.
    this.text.hidden = this.text.options.hidden = true;
    if (this.text.element) this.text.element.hidden = true;
  }

  listen() {
    const { node, editor, client } = this;
    editor.onTextChange = (text) => this.write(text);
    // Called when a prompt is made: widgets may change by themselves before it has run.
    this.text.serializeValue = () => {
      this.queuedState = upstreamState(this.app, node);
      return this.text.value;
    };
    editor.onHintsChange = (hints) => this.requestPreview(hints);
    editor.onEnlarge = (enlarged) => this.enlarge(enlarged);
    editor.onUnfocusedWheel = (event) => this.passWheel(event);
    client.onAnswer = (answer) => {
      editor.live.setField(decodeField(answer, editor.stage.view.image));
      const advice = lacksStillPlaces(editor.hints) ? ` ${t("liveNeedsPin")}` : "";
      this.showSolverStatus(t("liveSolved") + advice);
    };
    client.onError = (reason) => this.showSolverStatus(t("liveFailed", { reason }));

    const { onAdded, onExecuted, onRemoved } = node;
    node.onAdded = (graph) => {
      onAdded?.call(node, graph);
      this.start();
    };
    node.onExecuted = (output) => {
      onExecuted?.call(node, output);
      this.rememberImage(output);
    };
    node.onRemoved = () => {
      onRemoved?.call(node);
      this.stop();
      // Moved into another graph it is added again at once.
      setTimeout(() => this.node.graph || this.release());
    };
  }

  release() {
    this.stop();
    this.dialog.release();
    this.editor.release();
  }

  /** End with the node, which may leave without a word; else look at what has changed. */
  tick() {
    const { graph } = this.node;
    if (!graph) return this.stop();
    const { rootGraph } = graph;
    if (graph === rootGraph || rootGraph.subgraphs.get(graph.id) === graph) return this.poll();
    // Clearing the graph takes its subgraphs away and tells none of the nodes in them, nor the page's own widgets.
    this.node.onRemoved?.();
    this.release();
  }

  /** Look at everything that changes without an event: text, links, image, nodes downstream, the page. */
  poll() {
    const { editor, node } = this;
    const linked = node.inputs?.some(({ name, link }) => name === "hints" && link != null) ?? false;
    if (linked !== editor.linked) {
      editor.linked = linked;
      editor.refresh();
    }
    const text = String(this.text.value ?? "");
    if (text !== this.shownText) {
      if (this.shownText === undefined) editor.start(text);
      else editor.setText(text);
      this.shownText = text;
    }
    const seen = /** @type {SeenImage | undefined} */ (node.properties?.[SEEN]);
    const images = knownImages(this.app, node, seen);
    const urls = images.map(({ url }) => url);
    const image = [sourceKey(this.app, node), ...urls].join();
    if (image !== this.shownImage) {
      this.shownImage = image;
      this.loadFirst(urls);
    }
    // One that is no longer known stays until the next has come.
    const shown = images.find(({ url }) => url === this.shownUrl)?.origin ?? "imageStale";
    editor.setOrigin(this.shownUrl ? shown : null);
    const { nodeSettings, loop } = readDownstream(node);
    editor.live.loop = loop;
    const known = JSON.stringify(nodeSettings);
    if (known !== this.knownSettings) {
      this.knownSettings = known;
      this.requestPreview(editor.hints);
    }
    editor.live.start();
  }

  // ---- the text widget ---------------------------------------------------------------------------------------

  /** @param {string} text */
  write(text) {
    this.shownText = text;
    this.text.value = text;
    this.node.graph?.setDirtyCanvas?.(true, false);
    // Keys that the editor keeps to itself do not reach ComfyUI, which would look for changes after them.
    const tracker = this.app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
    (tracker?.captureCanvasState ?? tracker?.checkState)?.call(tracker);
  }

  // ---- the image ---------------------------------------------------------------------------------------------

  /**
   * A run has ended: the node says which image it saw.
   * @param {Record<string, unknown>} output
   */
  rememberImage(output) {
    const [file] = /** @type {Comfy.ImageFile[]} */ (output?.[SEEN] ?? []);
    if (!file) return;
    this.node.properties ??= {};
    this.node.properties[SEEN] = { source: sourceKey(this.app, this.node), file, state: this.queuedState };
    this.poll();
  }

  /**
   * Show the first of the images that can be shown; if none can, say what is wrong with the best.
   * @param {string[]} urls
   */
  async loadFirst(urls) {
    this.loading.abort();
    this.loading = new AbortController();
    const { signal } = this.loading;
    /** @type {ImageError | null} */
    let problem = null;
    for (const url of urls) {
      try {
        const image = await loadImage(url, signal);
        if (signal.aborted) return;
        this.shownUrl = url;
        this.editor.setImage(image);
        this.poll();
        this.requestPreview(this.editor.hints);
        return;
      } catch (error) {
        if (signal.aborted) return;
        problem ??= error instanceof ImageError ? error : new ImageError("imageFailed");
      }
    }
    problem ??= new ImageError(sourceKey(this.app, this.node) ? "noImageYet" : "noImage");
    this.shownUrl = null;
    this.editor.setImage(null, t(problem.key, problem.values));
  }

  // ---- the solver --------------------------------------------------------------------------------------------

  /** @param {Hints} hints */
  requestPreview(hints) {
    const { live, stage, editable } = this.editor;
    this.client.cancel();
    this.editor.solverStatus = "";
    if (live.mode === "off" || !stage.image || !editable || isEmpty(hints)) return;
    this.client.requestLater(stage.image, hints, () => readDownstream(this.node).nodeSettings);
  }

  /** @param {string} status */
  showSolverStatus(status) {
    this.editor.solverStatus = status;
    this.editor.updateMessages();
  }

  // ---- the page ----------------------------------------------------------------------------------------------

  /**
   * Move the editor into a dialog over the whole window, or back.
   * @param {boolean} enlarged
   */
  enlarge(enlarged) {
    const { editor } = this;
    if (enlarged === editor.enlarged) return;
    editor.enlarged = enlarged;
    this.dialog.toggle(enlarged);
    editor.toolbar.refresh();
    editor.focus();
  }

  /**
   * Let the graph have a wheel that is not meant for the editor.
   * @param {WheelEvent} event
   */
  passWheel(event) {
    if (this.app.canvas?.processMouseWheel && !this.host.closest("[data-node-id]")) {
      event.preventDefault();
      this.app.canvas.processMouseWheel(event);
    }
  }
}
