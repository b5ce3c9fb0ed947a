// A volume in three planes at once, with a crosshair that links them.

import "./planes.css";
import { getLabels, postView, type Channel, type Input, type Labels, type Plane, type Run, type Source } from "./api";
import { LabelLayer } from "./labels";
import { made } from "./panels";
import { scaleBar } from "./scale";
import { Stage, type Spot } from "./stage";

const POLL = 300;
/** Of the planes across each axis, and of the lines that show where these are cut. */
const COLORS = ["#d9822b", "#2f9e44", "#3b78d8"];

export interface PlanesHooks {
  know(labels: Labels): void;
  say(text: string, state: string): void;
  report(error: unknown): void;
  complain(reason: string): void;
  /** The crosshair was moved by hand: the plane that was clicked, where it is cut, and the place in it. */
  clicked(plane: Plane, index: number, spot: Spot): void;
}

interface Pane {
  plane: Plane;
  axes: [number, number];
  box: HTMLElement;
  stage: Stage;
  layer: LabelLayer | null;
  rows: HTMLElement;
  columns: HTMLElement;
  slider: HTMLInputElement;
  text: HTMLElement;
  scaleBar: HTMLElement;
  scaleText: HTMLElement;
}

export class ThreePlanes {
  active = false;
  /** The crosshair: slice, row and column in the file. */
  position = [0, 0, 0];
  private readonly box = made("div", { id: "planes", hidden: true });
  private panes: Pane[] = [];
  private current = 0;
  private input: Input | null = null;
  private channels: Channel[] = [];
  private labels: Labels | null = null;
  private labelsOn = true;
  private opacity = 0.5;
  private source: Source = "labels";
  private polling = 0;
  private settling = 0;
  private opened = 0;

  constructor(
    host: HTMLElement,
    private run: Run,
    private readonly hidden: ReadonlySet<number>,
    private readonly hooks: PlanesHooks,
  ) {
    host.append(this.box);
  }

  open(input: Input, channels: Channel[], position: number[] | null, source: Source): void {
    this.close();
    this.active = true;
    this.box.hidden = false;
    this.input = input;
    this.channels = channels;
    this.source = source;
    this.position = position ?? input.planes.map((plane) => Math.floor((plane.count - 1) / 2));
    if (this.panes.length === 0) this.panes = input.planes.map((plane) => this.pane(plane));
    this.panes.forEach((pane, n) => {
      pane.plane = input.planes[n];
      pane.slider.max = String(pane.plane.count - 1);
      const letter = (input.axes ?? "ZYX")[n] ?? "";
      pane.box.dataset.letter = letter;
      pane.slider.ariaLabel = `Slice ${letter}`;
      this.show(pane, false);
    });
    this.choose(0);
    if (this.run.name !== null) void this.look();
  }

  close(): void {
    this.active = false;
    this.box.hidden = true;
    this.opened += 1;
    window.clearTimeout(this.polling);
    window.clearTimeout(this.settling);
    for (const pane of this.panes) {
      pane.layer?.close();
      pane.layer = null;
    }
    this.labels = null;
  }

  private pane(plane: Plane): Pane {
    const { axis } = plane;
    const others = [0, 1, 2].filter((other) => other !== axis) as [number, number];
    const viewer = made("div", { className: "pane-viewer" });
    const rows = made("div", { className: "cross rows" });
    const columns = made("div", { className: "cross columns" });
    rows.style.background = COLORS[others[0]];
    columns.style.background = COLORS[others[1]];
    const slider = made("input", { type: "range", min: "0", step: "1" });
    const text = made("output", {});
    const chip = made("div", { className: "pane-slice" }, slider, text);
    const scaleLine = made("span", { className: "scale-line" });
    const scaleText = made("span", {});
    const scale = made("div", { className: "pane-scale" }, scaleLine, scaleText);
    const box = made("div", { className: "pane" }, viewer, rows, columns, chip, scale);
    box.style.setProperty("--axis", COLORS[axis]);
    this.box.append(box);
    const pane: Pane = {
      plane, axes: others, box, layer: null, rows, columns, slider, text, scaleBar: scaleLine, scaleText,
      stage: new Stage(
        viewer,
        () => this.place(pane),
        () => this.settled(),
        (spot) => this.clicked(pane, spot),
        (reason) => this.hooks.complain(reason),
      ),
    };
    pane.stage.canvas.style.opacity = String(this.opacity);
    slider.oninput = () => this.slice(pane, Number(slider.value));
    box.addEventListener("pointerdown", () => this.choose(this.panes.indexOf(pane)), true);
    return pane;
  }

  private choose(number: number): void {
    this.current = number;
    this.panes.forEach((pane, n) => pane.box.classList.toggle("current", n === number));
  }

  /** Show the slice of a pane that the crosshair is in. */
  private show(pane: Pane, keep: boolean): void {
    const { input } = this;
    if (input === null) return;
    const { plane } = pane;
    const index = this.position[plane.axis];
    pane.slider.value = String(index);
    pane.text.textContent = `${pane.box.dataset.letter} ${index + 1} / ${plane.count}`;
    pane.box.dataset.index = String(index);
    pane.layer?.close();
    pane.layer = null;
    pane.stage.show(input, plane, index, this.channels, keep);
    if (this.run.name === null) return;
    const place = { axis: plane.axis, index };
    pane.layer = new LabelLayer(
      pane.stage.canvas, this.run, this.hidden, input.tile, input.id, place,
      () => this.tell(),
      (reason) => this.hooks.complain(reason),
      this.source,
    );
    pane.layer.visible = this.labelsOn;
    if (this.labels !== null) pane.layer.update(this.labels);
    this.settled();
  }

  /** Move the crosshair to a slice of a pane. */
  private slice(pane: Pane, index: number): void {
    const { axis, count } = pane.plane;
    const wanted = Math.max(0, Math.min(count - 1, index));
    if (wanted === this.position[axis]) return;
    this.position[axis] = wanted;
    this.show(pane, true);
    for (const other of this.panes) this.place(other);
  }

  private clicked(pane: Pane, spot: Spot): void {
    const before = [...this.position];
    this.position[pane.axes[0]] = spot.row;
    this.position[pane.axes[1]] = spot.column;
    for (const other of this.panes) {
      if (this.position[other.plane.axis] !== before[other.plane.axis]) this.show(other, true);
      this.place(other);
    }
    this.hooks.clicked(pane.plane, this.position[pane.plane.axis], spot);
  }

  /** Draw what lies over a pane where its picture is now. */
  private place(pane: Pane): void {
    const placement = pane.stage.placement();
    if (placement === null || this.input === null) return;
    pane.layer?.place(placement);
    const spot = pane.stage.onScreen({ row: this.position[pane.axes[0]], column: this.position[pane.axes[1]] });
    if (spot !== null) {
      pane.rows.style.transform = `translateY(${spot.top + spot.height / 2}px)`;
      pane.columns.style.transform = `translateX(${spot.left + spot.width / 2}px)`;
    }
    const { plane } = pane;
    const across = plane.spacing === null ? null : plane.spacing[1] * (plane.grid[1] / plane.levels[0][1]);
    const { width, text } = scaleBar(pane.stage.perPixel(), across, this.input.unit);
    if (Number.isFinite(width)) pane.scaleBar.style.width = `${width}px`;
    pane.scaleText.textContent = text;
  }

  key(key: string): boolean {
    const pane = this.panes[this.current];
    const at = this.position[pane.plane.axis];
    const letters = this.panes.map((one) => one.box.dataset.letter?.toLowerCase());
    if (letters.includes(key)) this.choose(letters.indexOf(key));
    else if (key === ",") this.slice(pane, at - 1);
    else if (key === ".") this.slice(pane, at + 1);
    else if (key === "PageUp") this.slice(pane, at - 10);
    else if (key === "PageDown") this.slice(pane, at + 10);
    else return false;
    return true;
  }

  zoomBy(factor: number): void {
    for (const pane of this.panes) pane.stage.zoomBy(factor);
  }

  moveBy(across: number, down: number): void {
    this.panes[this.current].stage.moveBy(across, down);
  }

  fit(): void {
    for (const pane of this.panes) pane.stage.fit();
  }

  oneToOne(): void {
    for (const pane of this.panes)
      pane.stage.oneToOne({ row: this.position[pane.axes[0]], column: this.position[pane.axes[1]] });
  }

  redraw(): void {
    const { input } = this;
    if (input === null || !this.active) return;
    for (const pane of this.panes)
      pane.stage.show(input, pane.plane, this.position[pane.plane.axis], this.channels, true);
  }

  /** Another network labels from now on. */
  adopt(run: Run): void {
    this.run = run;
    if (!this.active) return;
    this.labels = null;
    for (const pane of this.panes) {
      if (pane.layer === null) this.show(pane, true);
      else pane.layer.renew(run);
    }
    void this.look();
  }

  recolor(): void {
    for (const pane of this.panes) pane.layer?.recolor();
  }

  fade(opacity: number): void {
    this.opacity = opacity;
    for (const pane of this.panes) pane.stage.canvas.style.opacity = String(opacity);
  }

  showLabels(on: boolean): void {
    this.labelsOn = on;
    for (const pane of this.panes) {
      if (pane.layer !== null) pane.layer.visible = on;
      this.place(pane);
    }
    this.settled();
  }

  // ------------------------------------------------------------------------------------------------ labels

  private async look(): Promise<void> {
    const { input, opened } = this;
    if (input === null || !this.active) return;
    try {
      const labels = await getLabels(input.id, 0, this.source);
      if (opened !== this.opened) return;
      this.take(labels);
    } catch (error) {
      this.hooks.report(error);
    }
    if (opened === this.opened) this.poll();
  }

  private poll(): void {
    window.clearTimeout(this.polling);
    const { labels } = this;
    if (labels !== null && (labels.problem !== "" || (labels.size !== null && !labels.filling && this.exact()))) return;
    this.polling = window.setTimeout(() => void this.look(), POLL);
  }

  private take(labels: Labels): void {
    const opened = this.labels?.size == null && labels.size !== null;
    this.labels = labels;
    this.hooks.know(labels);
    if (labels.problem === "")
      for (const pane of this.panes) {
        pane.layer?.update(labels);
        this.place(pane);
      }
    if (opened) this.settled();
    this.tell();
  }

  private exact(): boolean {
    return this.panes.every((pane) => !this.labelsOn || pane.layer === null || pane.layer.state === "exact");
  }

  /** Have what is in view computed: one pane after the other, the chosen one first. */
  private settled(): void {
    window.clearTimeout(this.settling);
    this.settling = window.setTimeout(() => {
      const { input, labels } = this;
      if (this.panes.every((pane) => pane.stage.placement() !== null)) this.box.dataset.input = String(input?.id);
      if (!this.active || input === null || labels?.size == null || this.source !== "labels") return this.tell();
      const order = [this.panes[this.current], ...this.panes];
      const pane = order.find((one) => one.layer?.visible && one.layer.state !== "exact" && one.layer.view() !== null);
      const box = pane?.layer?.view() ?? null;
      const { opened } = this;
      this.tell();
      if (pane === undefined || box === null || labels.problem !== "") return;
      postView(input.id, { ...box, axis: pane.plane.axis, index: this.position[pane.plane.axis] }).then(
        (found) => {
          if (opened !== this.opened) return;
          this.take(found);
          this.poll();
          // the next pane's turn, once this one is known
          if (!this.exact()) this.settling = window.setTimeout(() => this.settled(), 2 * POLL);
        },
        (error: unknown) => this.hooks.report(error),
      );
    }, 120);
  }

  tell(): void {
    const { labels } = this;
    if (labels === null || labels.problem !== "" || !this.labelsOn) return this.hooks.say("", "");
    const truth = this.source === "truth";
    if (labels.size === null) this.hooks.say("Opening the volume for the network …", "missing");
    else if (labels.state === "reading")
      this.hooks.say(`The network reads the whole volume once: ${Math.round(100 * labels.read)} %`, "missing");
    else if (this.exact()) this.hooks.say(truth ? "True labels" : "Exact labels", "exact");
    else this.hooks.say("Computing the labels …", "missing");
  }
}
