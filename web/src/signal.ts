// Recordings and genomes: what is in view is loaded, drawn, moved with pointer, wheel and keys, and read at the cursor.

import "./signal.css";
import { getLabels, Refused, type Channel, type Input, type Labels, type Run } from "./api";
import { ClassChart, Curves, GUTTER, MARGIN, rangeOf } from "./curves";
import { GenomeBar, SignalBar, type JumpBar } from "./jump";
import { type Curves as CurveData, type Sequence } from "./lineapi";
import { LineLoader } from "./lineload";
import { element, listChannels, made } from "./panels";
import { clearReadout, showReadout } from "./linereadout";
import { rowsOf, scaleOf } from "./linerows";
import { handle } from "./pointer";
import { distinct, drawRows, type ClassColor } from "./tracks";
import { Window } from "./window";

const POLL = 300;

export interface LineHooks {
  /** Take over how far the labels are. */
  know(labels: Labels): void;
  /** Say whether the labels in view are exact. */
  say(text: string, state: string): void;
  report(error: unknown): void;
  settled(): void;
}

export class LineView {
  active = false;
  sequence = 0;
  readonly window = new Window();
  private readonly box = made("div", { id: "lines", hidden: true });
  private readonly bar = made("div", { className: "line-bar" });
  private readonly curveBox = made("div", { className: "line-curves" });
  private readonly classBox = made("div", { className: "line-classes" });
  private readonly canvas = made("canvas", { className: "line-tracks" });
  private readonly cursor = made("div", { className: "line-cursor", hidden: true });
  private readonly curves = new Curves(this.curveBox);
  private readonly chart = new ClassChart(this.classBox);
  private classes: ClassColor[] = [];
  private input: Input | null = null;
  private channels: Channel[] = [];
  private jump: JumpBar | null = null;
  private labelsOn = true;
  private fitted = false;
  /** Height of the rows below the charts, when these were given theirs. */
  private room = 0;
  private opened = 0;
  private timer = 0;
  private polling = 0;
  private readonly loader = new LineLoader({
    draw: () => this.draw(),
    report: (error) => this.hooks.report(error),
    fit: (found) => this.fitCurves(found),
    again: () => this.load(POLL),
    told: (computed) => {
      if (computed !== null) this.take(computed);
      this.tell();
      if (computed !== null) this.poll();
    },
    note: (text) => (this.classBox.dataset.note = text),
  });

  constructor(
    stage: HTMLElement,
    private run: Run,
    private readonly hidden: ReadonlySet<number>,
    private readonly hooks: LineHooks,
  ) {
    this.box.append(this.bar, this.curveBox, this.classBox, this.canvas, this.cursor);
    stage.append(this.box);
    new ResizeObserver(() => this.active && this.layout()).observe(this.box);
    const recolored = new MutationObserver(() => this.active && this.layout());
    recolored.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    handle(this.box, {
      zoom: (factor, x) => this.move(() => this.window.zoomBy(factor, this.partAt(x))),
      pan: (pixels) => this.move(() => this.window.moveBy(-pixels / this.width)),
      hover: (x) => this.hover(x),
    });
  }

  /** Width of the curves in pixels. */
  private get width(): number {
    return Math.max(20, this.box.clientWidth - GUTTER - MARGIN);
  }

  private partAt(x: number): number {
    return Math.max(0, Math.min(1, (x - GUTTER) / this.width));
  }

  async open(input: Input, sequence: number): Promise<void> {
    this.close();
    this.active = true;
    this.box.hidden = false;
    this.input = input;
    this.opened += 1;
    this.fitted = false;
    this.channels = input.channels.map((one) => ({ ...one }));
    listChannels(input, this.channels, () => this.redrawn());
    element("channels").hidden = this.channels.length === 0;
    const Bar = input.view === "genome" ? GenomeBar : SignalBar;
    this.jump = new Bar(this.bar, input, (where, start, end) => this.goTo(where, start, end));
    await this.choose(await this.jump.start(sequence));
  }

  close(): void {
    this.active = false;
    this.box.hidden = true;
    this.opened += 1;
    this.loader.stop();
    window.clearTimeout(this.timer);
    window.clearTimeout(this.polling);
    this.curves.close();
    this.chart.close();
    this.bar.replaceChildren();
    this.loader.forget();
  }

  private async choose(sequence: Sequence): Promise<void> {
    this.loader.stop();
    this.loader.forget();
    this.sequence = sequence.number;
    this.window.reset(sequence.length);
    this.jump?.tell(sequence, this.window);
    clearReadout();
    this.layout();
    this.load(0);
    if (this.run.name !== null) await this.look();
  }

  private async goTo(where: Sequence | null, start: number, end: number): Promise<void> {
    if (where !== null && where.number !== this.sequence) await this.choose(where);
    if (Number.isFinite(start)) this.move(() => this.window.show(start, end));
  }

  // ------------------------------------------------------------------------------------------------ layout

  private get shown(): Channel[] {
    return this.channels.filter((one) => one.shown);
  }

  /** Build the charts anew: after a change of size, of channels or of their ranges. */
  private layout(): void {
    if (this.input === null) return;
    const { clientWidth: width, clientHeight: height } = this.box;
    if (width === 0 || height === 0) return;
    this.classes = this.run.classes.map((one) => ({ name: one.name, color: distinct(`#${one.color}`) }));
    const shown = this.shown;
    this.curveBox.hidden = shown.length === 0;
    this.classBox.hidden = this.run.name === null || !this.labelsOn;
    if (!this.classBox.hidden) this.chart.show(this.classes.map((one) => one.color), width, this.sizeClasses());
    this.room = -1;
    this.drawTracks();
    const curves = shown.map((one) => ({
      name: one.name || (this.channels.length > 1 ? `Channel ${one.number + 1}` : ""),
      color: `#${one.color}`,
      low: one.low,
      high: one.high > one.low ? one.high : one.low + 1,
    }));
    this.curves.show(curves, this.curveBox.clientWidth, this.curveHeight());
    this.draw();
  }

  /** Give the probabilities their height: all that is left, where there are no curves. */
  private sizeClasses(): number {
    const all = this.box.clientHeight;
    const left = Math.max(90, Math.min(420, all - 104 - this.bar.offsetHeight - this.canvas.offsetHeight));
    const height = Math.floor(this.shown.length > 0 ? Math.min(130, all / 4) : left);
    this.classBox.style.height = `${height + 1}px`; // charts get their size later, and the curves need it now
    return height;
  }

  private curveHeight(): number {
    return Math.max(64, Math.floor(this.curveBox.clientHeight / Math.max(1, this.shown.length)) - 1);
  }

  private redrawn(): void {
    this.fitted = true;
    this.layout();
    this.load(150);
  }

  /** Another network labels from now on. */
  adopt(run: Run): void {
    this.run = run;
  }

  recolor(): void {
    if (this.active) this.draw();
  }

  showLabels(on: boolean): void {
    this.labelsOn = on;
    if (!this.active) return;
    this.layout();
    this.load(0);
  }

  private draw(): void {
    const { start, end } = this.window;
    const { curves, probabilities } = this.loader.data;
    if (curves !== null) this.curves.fill(curves, curves.low, curves.high);
    if (!this.classBox.hidden)
      if (probabilities === null) this.chart.fill({ start: 0, step: 1 }, this.classes.map(() => []), () => true);
      else this.chart.fill(probabilities, probabilities.probabilities, (number) => !this.hidden.has(number));
    this.curves.look(start, end);
    this.chart.look(start, end);
    this.drawTracks();
  }

  private drawTracks(): void {
    const { input } = this;
    if (input === null) return;
    const shown = { classes: this.classes, hidden: this.hidden, labels: this.labelsOn && this.run.name !== null };
    drawRows(this.canvas, rowsOf(input, this.loader.data, shown, this.window.total), this.window.start, this.window.end);
    if (this.room === this.canvas.offsetHeight) return;
    this.room = this.canvas.offsetHeight; // there are more or fewer rows than before
    this.chart.resize(this.box.clientWidth, this.sizeClasses());
    this.curves.resize(this.curveBox.clientWidth, this.curveHeight());
  }

  /** A round length of the axis, and how wide it is on the screen. */
  scale(): { width: number; text: string } | null {
    return this.input === null ? null : scaleOf(this.input, this.window.size / this.width);
  }

  // ------------------------------------------------------------------------------------------------ moving

  private move(change: () => void): void {
    if (!this.active) return;
    change();
    this.jump?.tell(null, this.window);
    this.cursor.hidden = true;
    this.draw();
    this.tell();
    this.hooks.settled();
    this.load(80);
  }

  zoomBy(factor: number): void {
    this.move(() => this.window.zoomBy(factor));
  }

  moveBy(across: number, down: number): void {
    if (down !== 0) this.curveBox.scrollBy(0, down * this.curveBox.clientHeight);
    else this.move(() => this.window.moveBy(across));
  }

  fit(): void {
    this.move(() => this.window.show(0, this.window.total));
  }

  /** One sample on one pixel; of genomes, bases that can be read. */
  oneToOne(): void {
    const size = this.input?.view === "genome" ? this.width / 12 : this.width;
    const middle = (this.window.start + this.window.end) / 2;
    this.move(() => this.window.show(middle - size / 2, middle + size / 2));
  }

  private hover(x: number | null): void {
    const inside = x !== null && x >= GUTTER && x <= GUTTER + this.width;
    this.cursor.hidden = !inside;
    if (!inside || this.input === null) return;
    this.cursor.style.left = `${x}px`;
    const position = Math.min(this.window.total - 1, Math.floor(this.window.start + this.partAt(x) * this.window.size));
    const { data: all } = this.loader;
    const data = this.labelsOn ? all : { ...all, shares: null, probabilities: null };
    showReadout(this.input, this.shown, this.run, position, data);
  }

  // ------------------------------------------------------------------------------------------------ loading

  private load(after: number): void {
    window.clearTimeout(this.timer);
    delete this.box.dataset.loaded;
    this.timer = window.setTimeout(() => void this.fetch(), after);
  }

  private async fetch(): Promise<void> {
    const { input } = this;
    if (input === null || !this.active) return;
    const { start, end, total } = this.window;
    const { sequence, width, shown } = this;
    const labeled = this.run.name !== null && this.labelsOn;
    if (await this.loader.fetch({ input, sequence, start, end, total, width, shown, labeled }))
      this.box.dataset.loaded = `${input.id}:${this.sequence}`;
  }

  /** The first look at a recording, at all of it, says where its curves begin and end. */
  private fitCurves(found: CurveData): void {
    const { input } = this;
    if (this.fitted || input === null) return;
    this.fitted = found.complete;
    this.shown.forEach((channel, n) => {
      const range = rangeOf(found.low[n], found.high[n]);
      if (range === null) return;
      Object.assign(channel, range);
      Object.assign(input.channels[channel.number], range);
    });
    listChannels(input, this.channels, () => this.redrawn());
    this.layout();
  }

  // ------------------------------------------------------------------------------------------------ labels

  /** Ask how far the labels are; while something is being computed, ask again. */
  async look(): Promise<void> {
    const { input, opened } = this;
    if (input === null || !this.active || this.run.name === null) return;
    try {
      const labels = await getLabels(input.id, this.sequence);
      if (opened !== this.opened) return;
      this.take(labels);
    } catch (error) {
      this.hooks.report(error);
      if (error instanceof Refused && error.status === 401) return;
    }
    this.poll();
  }

  private poll(): void {
    window.clearTimeout(this.polling);
    const { labels } = this.loader;
    const comes = !this.tooLarge() && !this.inView();
    const waits = labels === null || (labels.problem === "" && (labels.size === null || labels.filling || comes));
    if (waits && this.active) this.polling = window.setTimeout(() => void this.look(), POLL);
  }

  /** Take over how far the labels are; what may have changed is loaded again. */
  take(labels: Labels): void {
    const before = this.loader.labels;
    this.loader.labels = labels;
    this.hooks.know(labels);
    const found = labels.complete !== before?.complete;
    if (before?.size == null && labels.size !== null) this.load(0);
    else if (labels.size !== null && (found || labels.version !== this.loader.version)) void this.loader.refresh(found);
    this.tell();
  }

  /** Whether the labels of all that is in view are known. */
  private inView(): boolean {
    return this.loader.knows(this.window.start, this.window.end);
  }

  /** Whether more is in view than is computed for a view alone. */
  private tooLarge(): boolean {
    return this.window.size > 2 ** 24 && this.loader.labels?.whole === false;
  }

  tell(): void {
    const { labels } = this.loader;
    if (labels === null || labels.problem !== "" || !this.labelsOn) return this.hooks.say("", "");
    if (labels.size === null) this.hooks.say("Opening it for the network …", "missing");
    else if (labels.state === "reading")
      this.hooks.say(`The network reads all of it once: ${Math.round(100 * labels.read)} %`, "missing");
    else if (this.inView()) this.hooks.say(labels.filling ? "Exact labels; finding the rest …" : "Exact labels", "exact");
    else if (this.tooLarge() && !labels.filling)
      this.hooks.say("Zoom in, or label everything", "missing");
    else this.hooks.say("Computing the labels …", "missing");
  }
}

