// The panel and the tools of painting, as elements; `paint.ts` gives them their meaning.

import { made } from "./panels";
import type { Painted, PaintClass } from "./paint-api";

export type Tool = "move" | "brush" | "eraser" | "polygon" | "fill" | "box" | "point";

export const TOOLS: { tool: Tool; key: string; title: string; path: string }[] = [
  { tool: "move", key: "m", title: "Move the image", path: "M8 1v14M1 8h14M8 1 6 3M8 1l2 2M8 15l-2-2M8 15l2-2M1 8l2-2M1 8l2 2M15 8l-2-2M15 8l-2 2" },
  { tool: "brush", key: "b", title: "Brush", path: "M13.5 2.5 7 9M7 9c-3 0-2 4-5 4.5 3 2 7 .5 7-2.5z" },
  { tool: "eraser", key: "e", title: "Eraser", path: "M9 2.5 13.5 7 7.5 13H4.5L2 10.5zM5 6.5 9.5 11M4 14h10" },
  { tool: "polygon", key: "g", title: "Polygon: click its corners, Enter closes it", path: "M3 6 9 2l5 5-3 6-7-1z" },
  { tool: "fill", key: "f", title: "Fill an area with an outline", path: "M7 2 2 7.5 7 12l5-5zM7 2 5.5.5M13 9.5c1 1.5 1.5 2.5 1.5 3a1.5 1.5 0 0 1-3 0c0-.5.5-1.5 1.5-3z" },
  { tool: "box", key: "x", title: "Box", path: "M2.5 3.5h11v9h-11z" },
  { tool: "point", key: "d", title: "Point", path: "M8 5a3 3 0 1 0 .01 0z" },
];

const COLORS = [
  "e6194b", "3cb44b", "4363d8", "ffe119", "f58231", "911eb4", "42d4f4", "f032e6", "bfef45", "fabed4", "469990",
  "9a6324", "fffac8", "800000", "aaffc3", "808000", "ffd8b1", "000075",
];

/** A color that no class has yet. */
export function freeColor(classes: PaintClass[]): string {
  const taken = new Set(classes.map((one) => one.color.toLowerCase()));
  const free = COLORS.find((color) => !taken.has(color));
  if (free !== undefined) return free;
  for (let n = 1; ; n++) {
    const color = ((n * 0x9e3779) & 0xffffff).toString(16).padStart(6, "0");
    if (!taken.has(color)) return color;
  }
}

export interface PanelActions {
  choose(label: number): void;
  rename(label: number, change: Partial<PaintClass>): void;
  add(name: string): void;
  size(radius: number): void;
  undo(): void;
  redo(): void;
  train(): void;
  where(): void;
  save(name: string): void;
}

const kbd = (key: string) => made("kbd", {}, key);

/** Everything of the panel that changes. */
export class PaintPanel {
  readonly size = made("input", { type: "range", min: "0", max: "100", value: "40", ariaLabel: "Size of the brush" });
  readonly sizeText = made("span", { className: "note" });
  readonly undo = made("button", { type: "button", className: "small", title: "Ctrl-Z", disabled: true }, "Undo");
  readonly redo = made("button", { type: "button", className: "small", title: "Ctrl-Y", disabled: true }, "Redo");
  readonly train = made("button", { type: "button", id: "paint-train" }, "Train");
  readonly where = made("button", { type: "button", id: "paint-where", title: "Places at which the network doubts" }, "Where next?");
  readonly state = made("p", { className: "note", id: "paint-state" });
  readonly problem = made("p", { className: "problem", id: "paint-problem", hidden: true });
  readonly curves = made("canvas", { id: "paint-curves", hidden: true });
  readonly saved = made("p", { className: "note", id: "paint-saved" });
  private readonly list = made("ul", { id: "paint-classes" });
  private readonly name = made("input", { type: "text", placeholder: "New class", ariaLabel: "Name of a new class", maxLength: 80 });
  private readonly runName = made("input", { type: "text", value: "painted", ariaLabel: "Name of the run", maxLength: 80 });
  readonly saving = made("form", { className: "row", hidden: true, id: "paint-save" }, this.runName, made("button", { type: "submit" }, "Save run"));
  readonly tools = made("div", { id: "paint-tools", className: "tools-left", role: "toolbar" });
  readonly root: HTMLDetailsElement;

  constructor(folder: string, private readonly actions: PanelActions, choose: (tool: Tool) => void) {
    this.tools.ariaLabel = "Painting";
    for (const { tool, key, title, path } of TOOLS) {
      const label = `${title} (${key.toUpperCase()})`;
      const button = made("button", { type: "button", className: "icon", title: label, ariaLabel: label });
      button.dataset.tool = tool;
      button.innerHTML = `<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d="${path}" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linejoin="round" stroke-linecap="round"/></svg>`;
      button.onclick = () => choose(tool);
      this.tools.append(button);
    }
    const adding = made("form", { className: "row" }, this.name, made("button", { type: "submit", className: "small" }, "Add"));
    adding.onsubmit = (event) => {
      event.preventDefault();
      if (this.name.value.trim() !== "") actions.add(this.name.value.trim());
      this.name.value = "";
    };
    this.saving.onsubmit = (event) => {
      event.preventDefault();
      actions.save(this.runName.value.trim());
    };
    this.size.oninput = () => actions.size(radiusOf(Number(this.size.value)));
    this.undo.onclick = () => actions.undo();
    this.redo.onclick = () => actions.redo();
    this.train.onclick = () => actions.train();
    this.where.onclick = () => actions.where();
    this.root = made(
      "details",
      { id: "paint", open: true },
      made("summary", {}, "Paint ", made("span", { className: "note" }, folder)),
      this.list,
      adding,
      made("label", { className: "row" }, made("span", {}, "Brush"), this.size, this.sizeText),
      made("div", { className: "row" }, this.undo, this.redo, made("span", { className: "grow" }), kbd("["), kbd("]")),
      made("div", { className: "row" }, this.train, this.where),
      this.state,
      this.problem,
      this.curves,
      this.saving,
      this.saved,
    );
  }

  /** List the classes; `chosen` is the one that is painted with. */
  listClasses(painted: Painted, chosen: number): void {
    const rows = painted.classes.map((one, n) => {
      const color = made("input", { type: "color", value: `#${one.color}`, ariaLabel: `Color of ${one.name}` });
      color.onchange = () => this.actions.rename(n, { color: color.value.slice(1) });
      const name = made("input", { type: "text", value: one.name, ariaLabel: `Name of class ${n + 1}`, maxLength: 80 });
      name.onchange = () => this.actions.rename(n, { name: name.value.trim() || one.name });
      name.onfocus = () => this.actions.choose(n);
      const key = n < 9 ? String(n + 1) : "•";
      const choose = made("button", { type: "button", className: "small", title: `Paint with ${one.name}` }, key);
      choose.onclick = () => this.actions.choose(n);
      const count = made("span", { className: "note" }, compact(painted.counts[n] ?? 0));
      const row = made("li", { className: "row" }, choose, color, name, count);
      row.ariaCurrent = String(n === chosen);
      return row;
    });
    this.list.replaceChildren(...rows);
  }

  choose(chosen: number): void {
    [...this.list.children].forEach((row, n) => (row.ariaCurrent = String(n === chosen)));
  }

  counts(counts: number[]): void {
    [...this.list.children].forEach((row, n) => (row.lastElementChild!.textContent = compact(counts[n] ?? 0)));
  }

  showSize(radius: number): void {
    this.size.value = String(Math.round(placeOf(radius)));
    this.sizeText.textContent = `${radius < 5 ? (2 * radius).toFixed(1) : Math.round(2 * radius)} px`;
  }

  showTool(tool: Tool): void {
    for (const button of this.tools.children)
      button.ariaPressed = String((button as HTMLElement).dataset.tool === tool);
  }
}

function compact(count: number): string {
  return new Intl.NumberFormat("en", { notation: "compact" }).format(count);
}

const LEAST = 0.5;
const MOST = 250;

/** The slider is even in the logarithm of the radius. */
function radiusOf(place: number): number {
  return LEAST * (MOST / LEAST) ** (place / 100);
}

function placeOf(radius: number): number {
  return (100 * Math.log(radius / LEAST)) / Math.log(MOST / LEAST);
}

export function bounded(radius: number): number {
  return Math.min(MOST, Math.max(LEAST, radius));
}
