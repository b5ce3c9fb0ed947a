// The panel and the tools of single objects, as elements; `objects.ts` gives them their meaning.

import { made } from "./panels";
import type { Objects } from "./objects-api";

export type ObjectTool = "move" | "choose" | "split" | "outline";

export const OBJECT_TOOLS: { tool: ObjectTool; key: string; title: string; path: string }[] = [
  { tool: "move", key: "m", title: "Move the image", path: "M8 1v14M1 8h14M8 1 6 3M8 1l2 2M8 15l-2-2M8 15l2-2M1 8l2-2M1 8l2 2M15 8l-2-2M15 8l-2 2" },
  { tool: "choose", key: "s", title: "Choose an object; with Shift one more", path: "M4 2l9 6-4 1 3 5-2 1-3-5-3 3z" },
  { tool: "split", key: "x", title: "Split: draw a line through an object", path: "M4 8a4 5 0 0 1 8 0 4 5 0 0 1-8 0M13 2 3 14" },
  { tool: "outline", key: "o", title: "Outline an object: draw around it", path: "M3 6 9 2l5 5-3 6-7-1z" },
];

export interface ObjectActions {
  merge(): void;
  remove(): void;
  several(on: boolean): void;
  step(step: "undo" | "redo" | "find"): void;
  use(tool: ObjectTool): void;
}

const button = (id: string, text: string, title: string) =>
  made("button", { type: "button", id: `objects-${id}`, title }, text);

/** Everything of the panel that changes. */
export class ObjectPanel {
  readonly count = made("strong", { id: "objects-count" }, "");
  readonly chosen = made("p", { className: "note", id: "objects-chosen" }, "Click on an object.");
  readonly saved = made("p", { className: "note", id: "objects-saved" });
  readonly find = button("find", "Find objects", "Find the objects of this image with the network (F)");
  readonly merge = button("merge", "Merge", "Make the chosen objects one (J)");
  readonly remove = button("delete", "Delete", "Delete the chosen objects (Delete)");
  readonly several = made("button", { type: "button", title: "A click adds to what is chosen, as with Shift" }, "Several");
  readonly undo = button("undo", "Undo", "Ctrl-Z");
  readonly redo = button("redo", "Redo", "Ctrl-Y");
  readonly tools = made("div", { id: "object-tools", className: "tools-left", role: "toolbar" });
  readonly root: HTMLDetailsElement;

  constructor(objects: Objects, actions: ObjectActions) {
    this.tools.ariaLabel = "Objects";
    for (const { tool, key, title, path } of OBJECT_TOOLS) {
      const label = `${title} (${key.toUpperCase()})`;
      const one = made("button", { type: "button", className: "icon", title: label, ariaLabel: label });
      one.dataset.tool = tool;
      one.innerHTML = `<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d="${path}" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linejoin="round" stroke-linecap="round"/></svg>`;
      one.onclick = () => actions.use(tool);
      this.tools.append(one);
    }
    this.find.hidden = !objects.finds;
    this.find.onclick = () => actions.step("find");
    this.merge.onclick = () => actions.merge();
    this.remove.onclick = () => actions.remove();
    this.several.ariaPressed = "false";
    this.several.onclick = () => {
      this.several.ariaPressed = String(this.several.ariaPressed !== "true");
      actions.several(this.several.ariaPressed === "true");
    };
    this.undo.onclick = () => actions.step("undo");
    this.redo.onclick = () => actions.step("redo");
    this.root = made(
      "details",
      { id: "objects", open: true },
      made("summary", {}, "Objects ", made("span", { className: "note" }, objects.folder)),
      made("div", { className: "row" }, this.count, made("span", { className: "grow" }), this.find),
      this.chosen,
      made("div", { className: "row" }, this.several, this.merge, this.remove),
      made("div", { className: "row" }, this.undo, this.redo),
      this.saved,
    );
  }

  showTool(tool: ObjectTool): void {
    for (const one of this.tools.children) one.ariaPressed = String((one as HTMLElement).dataset.tool === tool);
  }
}
