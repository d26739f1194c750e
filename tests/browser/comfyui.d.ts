// What ComfyUI's page gives to the modules in js/: its own two modules, and what the published types leave out.

declare module "*/scripts/app.js" {
  export const app: Comfy.App;
}

declare module "*/scripts/api.js" {
  export const api: Comfy.Api;
}

declare namespace Comfy {
  type App = import("@comfyorg/comfyui-frontend-types").ComfyApp;
  type Api = import("@comfyorg/comfyui-frontend-types").ComfyApi;
  type Extension = import("@comfyorg/comfyui-frontend-types").ComfyExtension;
  type DOMWidgetOptions = import("@comfyorg/comfyui-frontend-types").DOMWidgetOptions<string>;
  type DOMWidget = import("@comfyorg/comfyui-frontend-types").DOMWidget<HTMLElement, string>;
  type LGraphNode = Parameters<NonNullable<Extension["nodeCreated"]>>[0];
  type Widget = NonNullable<LGraphNode["widgets"]>[number] & { element?: HTMLElement; serializeValue?(): unknown };

  interface ImageFile {
    filename?: string;
    subfolder?: string;
    type?: string;
  }

  /** A node with what the front end adds to litegraph's class. */
  type Node = LGraphNode & {
    imgs?: HTMLImageElement[];
    onExecuted?(output: Record<string, unknown>): void;
    addDOMWidget?(name: string, type: string, element: HTMLElement, options: DOMWidgetOptions): DOMWidget;
  };
}
