// Painting and training live: tools, keys, strokes on their way to the server, and what the training says.

import "./paint.css";
import { Refused, type Input, type Plane, type Run } from "./api";
import type { Placement } from "./labels";
import {
  getPainted, getPaintedImage, getPlaces, postRedo, postStroke, postUndo, putClasses,
  type Painted, type PaintClass, type PaintedImage, type Point, type Stroke,
} from "./paint-api";
import { PaintLayer, type Pending } from "./paint-layer";
import { bounded, freeColor, PaintPanel, TOOLS, type Tool } from "./paint-panel";
import { LiveTraining } from "./paint-training";
import { element, made } from "./panels";
import { listenTo } from "./pointer";

/** Points of a stroke; a longer one is divided. */
const MOST_POINTS = 2000;
/** Pixels of an image up to which all of it is searched for places; of a larger one what is in view. */
const SEARCHED = 2 ** 24;

/** What painting needs of the page. */
export interface PaintHost {
  complain(reason: string): void;
  /** Take over the network of the training. */
  adopt(run: Run): void;
  goTo(spot: { row: number; column: number }): void;
  /** Where a wheel or a pointer goes that is not for painting. */
  below(): HTMLElement;
}

export class Painting {
  private readonly canvas = made("canvas", { id: "paint-canvas", className: "overlay" });
  private readonly panel: PaintPanel;
  private readonly training: LiveTraining;
  private layer: PaintLayer | null = null;
  private input: Input | null = null;
  private plane: { axis: number; index: number } = { axis: 0, index: 0 };
  private tool: Tool = "move";
  private label = 0;
  private radius = 6;
  private drawn: Stroke | null = null;
  private placement: Placement | null = null;
  private pointer: Point | null = null;
  private panning = false;
  private queue: Promise<void> = Promise.resolve();
  private frame = 0;

  /** Painting, or null where the server was started without it; `run` is the network that the page shows. */
  static async open(host: PaintHost, run: Run): Promise<Painting | null> {
    const painted = await getPainted();
    return painted.open ? new Painting(host, painted, run) : null;
  }

  private constructor(
    private readonly host: PaintHost,
    private painted: Painted,
    run: Run,
  ) {
    this.panel = new PaintPanel(
      painted.folder,
      {
        choose: (label) => this.choose(label),
        rename: (label, change) =>
          this.name((classes) => classes.map((one, n) => (n === label ? { ...one, ...change } : one))),
        add: (name) => this.name((classes) => [...classes, { name, color: freeColor(classes) }]),
        size: (radius) => this.resize(radius),
        undo: () => this.step(postUndo),
        redo: () => this.step(postRedo),
        train: () => void this.training.toggle(),
        where: () => void this.where(),
        save: (name) => void this.training.save(name),
      },
      (tool) => this.use(tool),
    );
    this.training = new LiveTraining(this.panel, run.version, (found) => host.adopt(found), (error) => this.report(error));
    document.body.classList.add("painting");
    element("position").before(this.panel.root);
    element("viewer").after(this.canvas, this.panel.tools);
    new ResizeObserver(() => this.training.draw()).observe(this.panel.curves);
    element("theme").addEventListener("click", () => requestAnimationFrame(() => this.training.draw()));
    this.panel.listClasses(painted, this.label);
    this.listen();
    this.use("move");
    this.resize(this.radius);
    void this.training.watch();
  }

  // -------------------------------------------------------------------------------------------------- the image

  /** Paint on a plane from now on. */
  show(input: Input, plane: Plane, index: number): void {
    this.leave();
    this.input = input;
    this.plane = { axis: plane.axis, index };
    const mine = this.plane;
    getPaintedImage(input.id).then(
      (image) => {
        if (this.plane !== mine) return;
        const levels = image.planes[plane.axis] ?? image.planes[0];
        this.layer = new PaintLayer(
          this.canvas, input.id, mine, levels, input.tile,
          () => this.painted.classes,
          () => this.draw(),
          (reason) => this.host.complain(reason),
        );
        if (this.placement !== null) this.layer.place(this.placement);
        this.know(image);
      },
      (error: unknown) => this.report(error),
    );
  }

  /** Show and change nothing, where no plane of an image is on the screen. */
  hide(hidden: boolean): void {
    if (hidden) this.leave();
    this.canvas.hidden = this.panel.tools.hidden = hidden;
  }

  private leave(): void {
    this.layer?.close();
    this.layer = this.input = this.drawn = null;
    this.plane = { ...this.plane };
    this.panel.undo.disabled = this.panel.redo.disabled = true;
  }

  /** Follow the image to where it is now. */
  place(placement: Placement): void {
    this.placement = placement;
    this.layer?.place(placement);
    this.draw();
  }

  private draw(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      const round = this.tool === "brush" || this.tool === "eraser" || this.tool === "point";
      const color = this.tool === "eraser" ? "#fff" : `#${this.painted.classes[this.label]?.color ?? "ffffff"}`;
      const cursor = round && this.pointer !== null ? { at: this.pointer, radius: this.radius, color } : null;
      this.layer?.draw(this.drawn, cursor);
    });
  }

  private know(image: PaintedImage): void {
    this.panel.undo.disabled = !image.can_undo;
    this.panel.redo.disabled = !image.can_redo;
    this.layer?.update(image.revision);
  }

  // -------------------------------------------------------------------------------------------------- strokes

  private listen(): void {
    const { canvas } = this;
    listenTo(canvas, this);
    canvas.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.draw();
    });
    canvas.addEventListener("dblclick", () => this.closePolygon());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.host.below().dispatchEvent(new WheelEvent(event.type, event));
    });
    document.addEventListener("keyup", (event) => {
      if (event.key === " ") this.pan(false);
    });
  }

  private at(event: PointerEvent): Point | null {
    const box = this.canvas.getBoundingClientRect();
    return this.layer?.point(event.clientX - box.left, event.clientY - box.top) ?? null;
  }

  private begin(kind: Stroke["kind"], point: Point): Stroke {
    const label = this.tool === "eraser" ? null : this.label;
    return { kind, label, points: [point], radius: this.radius, ...this.plane };
  }

  press(event: PointerEvent): void {
    const point = this.at(event);
    if (event.button !== 0 || point === null) return;
    if (this.painted.classes.length === 0 && this.tool !== "eraser") {
      this.host.complain("Add a class first: its name goes into the field \"New class\".");
      return;
    }
    this.canvas.setPointerCapture(event.pointerId);
    if (this.tool === "polygon") {
      if (this.drawn === null) this.drawn = this.begin("polygon", point);
      else this.drawn.points.push(point);
    } else if (this.tool === "box") {
      this.drawn = this.begin("box", point);
      this.drawn.points.push(point);
    } else if (this.tool === "fill") {
      this.send({ ...this.begin("fill", point), view: this.layer?.view() ?? undefined });
    } else if (this.tool === "point") {
      this.send(this.begin("brush", point));
    } else {
      this.drawn = this.begin("brush", point);
    }
    this.draw();
  }

  drag(event: PointerEvent): void {
    this.pointer = this.at(event);
    if (this.drawn?.kind === "brush") {
      const moves = event.getCoalescedEvents?.() ?? [];
      for (const one of moves.length > 0 ? moves : [event]) this.extend(this.drawn, this.at(one));
    } else if (this.drawn?.kind === "box" && this.pointer !== null) {
      this.drawn.points[1] = this.pointer;
    }
    this.draw();
  }

  private extend(drawn: Stroke, point: Point | null): void {
    const last = drawn.points[drawn.points.length - 1];
    const [down, across] = this.layer?.scale ?? [1, 1];
    if (point === null || Math.hypot((point[0] - last[0]) * down, (point[1] - last[1]) * across) < 1) return;
    const next: Point = [Number(point[0].toFixed(2)), Number(point[1].toFixed(2))];
    drawn.points.push(next);
    if (drawn.points.length < MOST_POINTS) return;
    this.send(drawn);
    this.drawn = { ...drawn, points: [next] };
  }

  release(event: PointerEvent): void {
    const { drawn } = this;
    if (event.button !== 0 || drawn === null || drawn.kind === "polygon") return;
    this.drawn = null;
    this.send(drawn);
  }

  private closePolygon(): void {
    const { drawn } = this;
    if (drawn === null || drawn.kind !== "polygon") return;
    this.cancel();
    if (drawn.points.length >= 3) this.send(drawn);
  }

  cancel(): void {
    this.drawn = null;
    this.draw();
  }

  /** Show a stroke at once, and send it after those before it. */
  private send(stroke: Stroke): void {
    const { input, layer } = this;
    if (input === null || layer === null) return;
    const pending: Pending = { stroke, revision: null };
    layer.pending.push(pending);
    this.draw();
    this.afterwards(async () => {
      try {
        const image = await postStroke(input.id, stroke);
        pending.revision = image.revision;
        if (layer === this.layer) this.know(image);
      } catch (error) {
        layer.forget((one) => one === pending);
        this.draw();
        throw error;
      }
    });
  }

  private step(ask: (id: number) => Promise<PaintedImage>): void {
    const { input, layer } = this;
    if (input === null || layer === null) return;
    this.afterwards(async () => {
      const image = await ask(input.id);
      if (layer === this.layer) this.know(image);
    });
  }

  /** Requests that change the mask or the classes go one after the other. */
  private afterwards(work: () => Promise<void>): void {
    this.queue = this.queue.then(work).then(
      () => this.count(),
      (error: unknown) => this.report(error),
    );
  }

  private counting = 0;

  /** Ask how much is painted of each class, once the hand rests. */
  private count(): void {
    window.clearTimeout(this.counting);
    this.counting = window.setTimeout(() => {
      getPainted().then(
        (painted) => {
          this.painted.counts = painted.counts;
          this.panel.counts(painted.counts);
        },
        (error: unknown) => this.report(error),
      );
    }, 400);
  }

  // -------------------------------------------------------------------------------------------------- classes, tools

  private choose(label: number): void {
    if (label >= this.painted.classes.length) return;
    this.label = label;
    this.panel.choose(label);
    if (this.tool === "move" || this.tool === "eraser") this.use("brush");
    this.draw();
  }

  /** Name the classes otherwise than they are called once the changes before are made. */
  private name(change: (classes: PaintClass[]) => PaintClass[]): void {
    this.afterwards(async () => {
      const before = this.painted.classes.length;
      try {
        this.painted = await putClasses(change(this.painted.classes));
        this.host.complain("");
        this.layer?.recolor();
      } finally {
        this.panel.listClasses(this.painted, this.label);
      }
      if (this.painted.classes.length > before) this.choose(before);
    });
  }

  private use(tool: Tool): void {
    this.tool = tool;
    this.drawn = null;
    this.panel.showTool(tool);
    this.pan(false);
    this.draw();
  }

  /** While the space bar is held, the image moves and nothing is painted. */
  private pan(on: boolean): void {
    this.panning = on;
    this.canvas.style.pointerEvents = on || this.tool === "move" ? "none" : "auto";
  }

  private resize(radius: number): void {
    this.radius = bounded(radius);
    this.panel.showSize(this.radius);
    this.draw();
  }

  /** Do what a key says; whether it says anything here. */
  key(event: KeyboardEvent): boolean {
    const at = event.target as HTMLElement;
    if (at instanceof HTMLInputElement && /^(text|search|number)$/.test(at.type)) return false;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if ((event.ctrlKey || event.metaKey) && !event.altKey) {
      const known = key === "z" || key === "y";
      if (known) this.step(key === "y" || event.shiftKey ? postRedo : postUndo);
      return known;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (/^[1-9]$/.test(key) && Number(key) <= this.painted.classes.length) {
      this.choose(Number(key) - 1);
      return true;
    }
    if (key === " " && this.tool !== "move" && !(at instanceof HTMLButtonElement)) {
      if (!this.panning) this.pan(true);
      return true;
    }
    if (key === "Enter" && this.drawn?.kind === "polygon") {
      this.closePolygon();
      return true;
    }
    const actions: Record<string, () => void> = {
      "[": () => this.resize(this.radius / 1.25),
      "]": () => this.resize(this.radius * 1.25),
      Escape: () => (this.drawn === null ? this.use("move") : this.cancel()),
      r: () => void this.training.toggle(),
      w: () => void this.where(),
    };
    for (const one of TOOLS) actions[one.key] = () => this.use(one.tool);
    actions[key]?.();
    return key in actions;
  }

  // -------------------------------------------------------------------------------------------------- training

  private async where(): Promise<void> {
    const { input, layer } = this;
    if (input === null || layer === null) return;
    const size = input.shape.slice(1);
    const view = size.reduce((a, b) => a * b, 1) <= SEARCHED ? null : layer.view();
    try {
      layer.places = await getPlaces(input.id, view === null ? {} : { ...view });
      if (layer.places.length > 0 && layer === this.layer) this.host.goTo(layer.places[0]);
      this.host.complain(layer.places.length === 0 ? "The network doubts nowhere." : "");
      this.draw();
    } catch (error) {
      this.report(error);
    }
  }

  private report(error: unknown): void {
    if (error instanceof DOMException && error.name === "AbortError") return;
    if (!(error instanceof Refused)) throw error;
    this.host.complain(error.message);
  }
}
