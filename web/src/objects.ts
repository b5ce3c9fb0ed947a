// Single objects: counted, chosen, merged, split, deleted, outlined; every change is in the label image at once.

import "./objects.css";
import { Refused, type Input, type Plane } from "./api";
import type { Placement } from "./labels";
import {
  getNumber, getObjectImage, getObjects, postEdit, postStep, type Edit, type ObjectImage, type Objects, type Point,
} from "./objects-api";
import { ObjectLayer } from "./objects-layer";
import { OBJECT_TOOLS, ObjectPanel, type ObjectTool } from "./objects-panel";
import { element, made } from "./panels";
import { listenTo } from "./pointer";

/** Points of a line; the server takes no more. */
const MOST_POINTS = 2000;

/** What objects need of the page. */
export interface ObjectHost {
  complain(reason: string): void;
  /** Where a wheel goes that is not for objects. */
  below(): HTMLElement;
}

interface Chosen {
  number: number;
  area: number;
  point: Point;
}

export class ObjectEditing {
  private readonly canvas = made("canvas", { id: "object-canvas", className: "overlay" });
  private readonly panel: ObjectPanel;
  private layer: ObjectLayer | null = null;
  private input: Input | null = null;
  private placement: Placement | null = null;
  private tool: ObjectTool = "move";
  private several = false;
  private chosen: Chosen[] = [];
  private drawn: Point[] | null = null;
  private queue: Promise<void> = Promise.resolve();
  private frame = 0;
  private opened = 0;

  /** Objects, or null where the server was started without them. */
  static async open(host: ObjectHost): Promise<ObjectEditing | null> {
    const objects = await getObjects();
    return objects.open ? new ObjectEditing(host, objects) : null;
  }

  private constructor(
    private readonly host: ObjectHost,
    private readonly objects: Objects,
  ) {
    this.panel = new ObjectPanel(objects, {
      merge: () => this.edit("merge"),
      remove: () => this.edit("delete"),
      several: (on) => (this.several = on),
      step: (step) => this.step(step),
      use: (tool) => this.use(tool),
    });
    document.body.classList.add("with-objects");
    element("position").before(this.panel.root);
    element("viewer").after(this.canvas, this.panel.tools);
    listenTo(this.canvas, this);
    this.canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    this.canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.host.below().dispatchEvent(new WheelEvent(event.type, event));
    });
    this.use("choose");
  }

  // -------------------------------------------------------------------------------------------------- the image

  /** Show the objects of an image from now on. */
  show(input: Input, plane: Plane): void {
    this.opened += 1;
    const { opened } = this;
    this.layer?.close();
    this.layer = null;
    this.input = input;
    this.choose([]);
    this.panel.count.textContent = "";
    this.panel.saved.textContent = "";
    for (const one of [this.panel.find, this.panel.undo, this.panel.redo]) one.disabled = true;
    if (plane.count > 1) return this.host.complain("Objects are corrected in images, not in volumes.");
    getObjectImage(input.id).then(
      (image) => {
        if (opened !== this.opened) return;
        const failed = (reason: string) => this.host.complain(reason);
        this.layer = new ObjectLayer(this.canvas, input.id, image.levels, input.tile, () => this.draw(), failed);
        if (this.placement !== null) this.layer.place(this.placement);
        this.know(image);
      },
      (error: unknown) => this.report(error),
    );
  }

  /** Show nothing, where no plane of an image is on the screen. */
  hide(hidden: boolean): void {
    this.canvas.hidden = hidden;
    this.panel.tools.hidden = hidden;
  }

  /** Follow the image to where it is now. */
  place(placement: Placement): void {
    this.placement = placement;
    this.canvas.dataset.placement = `${placement.left},${placement.top},${placement.width},${placement.height}`;
    this.layer?.place(placement);
    this.draw();
  }

  private draw(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.layer?.draw(this.drawn, this.tool === "outline");
      this.canvas.dataset.current = String(this.layer?.current === true);
    });
  }

  private know(image: ObjectImage): void {
    const { panel } = this;
    panel.count.textContent = image.count === 1 ? "1 object" : `${image.count} objects`;
    panel.saved.textContent = image.saved === "" ? "" : `Saved in ${this.objects.folder}/${image.saved}`;
    panel.find.disabled = false;
    panel.undo.disabled = !image.can_undo;
    panel.redo.disabled = !image.can_redo;
    this.layer?.update(image.revision);
  }

  // -------------------------------------------------------------------------------------------------- choosing

  private choose(chosen: Chosen[]): void {
    this.chosen = chosen;
    const { panel, layer } = this;
    const names = chosen.map((one) => `${one.number} (${one.area.toLocaleString("en")} px)`);
    panel.chosen.textContent = names.length === 0 ? "Click on an object." : `Chosen: ${names.join(", ")}`;
    panel.merge.disabled = chosen.length < 2;
    panel.remove.disabled = chosen.length === 0;
    if (layer === null) return;
    layer.chosen.clear();
    for (const one of chosen) layer.chosen.add(one.number);
    layer.recolor();
  }

  private async pick(point: Point, more: boolean): Promise<void> {
    const { input, opened } = this;
    if (input === null) return;
    try {
      const found = await getNumber(input.id, Math.floor(point[0]), Math.floor(point[1]));
      if (opened !== this.opened) return;
      const others = more ? this.chosen.filter((one) => one.number !== found.number) : [];
      const taken = more && others.length < this.chosen.length;
      this.choose(found.number === 0 || taken ? others : [...others, { ...found, point }]);
    } catch (error) {
      this.report(error);
    }
  }

  private at(event: PointerEvent): Point | null {
    const box = this.canvas.getBoundingClientRect();
    const point = this.layer?.point(event.clientX - box.left, event.clientY - box.top) ?? null;
    return point === null ? null : [Number(point[0].toFixed(2)), Number(point[1].toFixed(2))];
  }

  press(event: PointerEvent): void {
    const point = this.at(event);
    if (event.button !== 0 || point === null) return;
    if (this.tool === "choose") {
      if (this.layer?.holds(point)) void this.pick(point, this.several || event.shiftKey);
      return;
    }
    this.canvas.setPointerCapture(event.pointerId);
    this.drawn = [point];
    this.draw();
  }

  drag(event: PointerEvent): void {
    const point = this.at(event);
    if (this.drawn === null || point === null || this.drawn.length >= MOST_POINTS) return;
    this.drawn.push(point);
    this.draw();
  }

  release(): void {
    const { drawn, tool } = this;
    this.cancel();
    if (drawn === null || drawn.length < (tool === "outline" ? 3 : 2)) return;
    this.change((id) => postEdit(id, tool === "outline" ? "outline" : "split", drawn));
  }

  cancel(): void {
    this.drawn = null;
    this.draw();
  }

  // -------------------------------------------------------------------------------------------------- changes

  private edit(kind: Edit): void {
    const points = this.chosen.map((one) => one.point);
    if (points.length > 0) this.change((id) => postEdit(id, kind, points));
  }

  private step(step: "undo" | "redo" | "find"): void {
    if (step === "find") this.panel.chosen.textContent = "Finding the objects …";
    this.change((id) => postStep(id, step));
  }

  /** Changes go to the server one after the other. */
  private change(ask: (id: number) => Promise<ObjectImage>): void {
    const { input, opened } = this;
    if (input === null) return;
    this.queue = this.queue
      .then(() => ask(input.id))
      .then(
        (image) => {
          if (opened !== this.opened) return;
          this.host.complain("");
          this.choose([]);
          this.know(image);
        },
        (error: unknown) => {
          if (opened === this.opened) this.choose(this.chosen);
          this.report(error);
        },
      );
  }

  private use(tool: ObjectTool): void {
    this.tool = tool;
    this.drawn = null;
    this.panel.showTool(tool);
    this.canvas.style.pointerEvents = tool === "move" ? "none" : "auto";
    this.canvas.style.cursor = tool === "choose" ? "pointer" : "crosshair";
    this.draw();
  }

  /** Do what a key says; whether it says anything here. */
  key(event: KeyboardEvent): boolean {
    const at = event.target as HTMLElement;
    if (at instanceof HTMLInputElement && /^(text|search|number)$/.test(at.type)) return false;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const actions: Record<string, () => void> = {};
    if ((event.ctrlKey || event.metaKey) && !event.altKey) {
      actions.z = () => this.step(event.shiftKey ? "redo" : "undo");
      actions.y = () => this.step("redo");
    } else if (!event.altKey) {
      for (const one of OBJECT_TOOLS) actions[one.key] = () => this.use(one.tool);
      actions.j = () => this.edit("merge");
      actions.Delete = actions.Backspace = () => this.edit("delete");
      actions.Escape = () => (this.drawn === null ? this.choose([]) : this.cancel());
      if (this.objects.finds) actions.f = () => this.step("find");
    }
    actions[key]?.();
    return key in actions;
  }

  private report(error: unknown): void {
    if (error instanceof DOMException && error.name === "AbortError") return;
    if (!(error instanceof Refused)) throw error;
    this.host.complain(error.message);
  }
}
