// Recordings and genomes: what is in view is loaded, drawn, moved with pointer, wheel and keys, and read at the cursor.

import "./signal.css";
import { getLabels, Refused, type Channel, type Input, type Labels, type Run } from "./api";
import { ClassChart, Curves, GUTTER, MARGIN, rangeOf } from "./curves";
import { GenomeBar, SignalBar, type JumpBar } from "./jump";
import {
  getClassCurves, getCurves, getFeatures, getLetters, getShares, postWindow,
  type Curves as CurveData, type Part, type Sequence,
} from "./lineapi";
import { element, listChannels, made } from "./panels";
import { clearReadout, showReadout } from "./linereadout";
import { nothing, rowsOf, scaleOf, type LineData } from "./linerows";
import { handle } from "./pointer";
import { distinct, drawRows, type ClassColor } from "./tracks";
import { Window } from "./window";

/** Positions of a window up to which the server computes probabilities. */
const EXACT = 2 ** 18;
const MOST_LETTERS = 20000;
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
  private labels: Labels | null = null;
  private labelsOn = true;
  private fitted = false;
  /** Height of the rows below the charts, when these were given theirs. */
  private room = 0;
  private opened = 0;
  private asked: AbortController | null = null;
  private timer = 0;
  private polling = 0;
  private data: LineData = nothing();
  private version = -1;
  private part: Part = { start: 0, stop: 1, sequence: 0 };

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
    this.asked?.abort();
    window.clearTimeout(this.timer);
    window.clearTimeout(this.polling);
    this.curves.close();
    this.chart.close();
    this.bar.replaceChildren();
    this.forget();
  }

  private forget(): void {
    this.data = nothing();
    this.labels = null;
    this.version = -1;
  }

  private async choose(sequence: Sequence): Promise<void> {
    this.asked?.abort();
    this.forget();
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
    const { curves, probabilities } = this.data;
    if (curves !== null) this.curves.fill(curves, curves.low, curves.high);
    if (probabilities !== null && !this.classBox.hidden)
      this.chart.fill(probabilities, probabilities.probabilities, (number) => !this.hidden.has(number));
    this.curves.look(start, end);
    this.chart.look(start, end);
    this.drawTracks();
  }

  private drawTracks(): void {
    const { input } = this;
    if (input === null) return;
    const shown = { classes: this.classes, hidden: this.hidden, labels: this.labelsOn && this.run.name !== null };
    drawRows(this.canvas, rowsOf(input, this.data, shown, this.window.total), this.window.start, this.window.end);
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
    const data = this.labelsOn ? this.data : { ...this.data, shares: null, probabilities: null };
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
    this.asked?.abort();
    const mine = new AbortController();
    this.asked = mine;
    const { start, end, size, total } = this.window;
    const part = {
      start: Math.max(0, Math.floor(start - size / 2)),
      stop: Math.min(total, Math.ceil(end + size / 2)),
      sequence: this.sequence,
    };
    this.part = part;
    const exact = { start: Math.floor(start), stop: Math.ceil(end), sequence: this.sequence };
    const labeled = this.run.name !== null && this.labelsOn;
    await Promise.all([
      this.fetchCurves(input, part, mine),
      this.fetchGenome(input, part, mine),
      labeled ? this.fetchClasses(input, part, mine) : undefined,
      labeled ? this.fetchExact(input, exact, mine) : undefined,
    ]);
    if (!mine.signal.aborted) this.box.dataset.loaded = `${input.id}:${this.sequence}`;
  }

  /** So many bins that each is narrower than a pixel. */
  private get bins(): number {
    return Math.min(4096, Math.ceil((1.5 * this.width * (this.part.stop - this.part.start)) / this.window.size));
  }

  /** Load the labels again, which have changed. */
  private async refresh(found: boolean): Promise<void> {
    const { input, asked, part } = this;
    if (input === null || asked === null || asked.signal.aborted) return;
    await this.fetchClasses(input, part, asked);
    if (found) await this.fetchGenome(input, part, asked);
  }

  /** Wait for an answer, use it if it is still wanted, and draw. */
  private async use<T>(asked: Promise<T>, mine: AbortController, take: (found: T) => void): Promise<void> {
    try {
      const found = await asked;
      if (mine.signal.aborted) return;
      take(found);
      this.draw();
    } catch (error) {
      if (!mine.signal.aborted) this.hooks.report(error);
    }
  }

  private async fetchCurves(input: Input, part: Part, mine: AbortController): Promise<void> {
    const numbers = this.shown.map((one) => one.number);
    if (numbers.length === 0) return;
    const count = Math.min(this.bins, Math.floor(200000 / numbers.length));
    await this.use(getCurves(input.id, part, count, numbers, mine.signal), mine, (found) => {
      this.data.curves = found;
      this.fitCurves(input, found);
      if (!found.complete) this.load(POLL);
    });
  }

  /** The first look at a recording, at all of it, says where its curves begin and end. */
  private fitCurves(input: Input, found: CurveData): void {
    if (this.fitted) return;
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

  private async fetchGenome(input: Input, part: Part, mine: AbortController): Promise<void> {
    if (input.view !== "genome") return;
    if (part.stop - part.start <= MOST_LETTERS)
      await this.use(getLetters(input.id, part, mine.signal), mine, (found) => (this.data.bases = found));
    else this.data.bases = null;
    if (input.annotated)
      await this.use(getFeatures(input.id, part, "file", mine.signal), mine, (found) => (this.data.annotated = found));
    if (this.run.name !== null)
      await this.use(getFeatures(input.id, part, "network", mine.signal), mine, (found) => (this.data.found = found));
  }

  private async fetchClasses(input: Input, part: Part, mine: AbortController): Promise<void> {
    const { bins } = this;
    if (input.truth)
      await this.use(getShares(input.id, part, bins, "file", mine.signal), mine, (found) => (this.data.truth = found));
    if (this.labels?.size == null || this.labels.problem !== "") return;
    this.version = this.labels.version;
    await this.use(getShares(input.id, part, bins, "network", mine.signal), mine, (found) => (this.data.shares = found));
    if (mine.signal.aborted || this.inView()) return this.tell();
    this.tell();
    const { start, end } = this.window;
    await this.use(postWindow(input.id, this.sequence, Math.floor(start), Math.ceil(end)), mine, (labels) => {
      this.take(labels);
      this.poll();
    });
  }

  private async fetchExact(input: Input, part: Part, mine: AbortController): Promise<void> {
    const small = part.stop - part.start <= EXACT;
    this.classBox.dataset.note = small ? "" : "Zoom in for probabilities: 262,144 positions at most";
    if (!small || this.labels?.size == null || this.labels.problem !== "") {
      this.data.probabilities = null;
      this.layoutChart();
      return;
    }
    const bins = Math.min(4096, Math.ceil(this.width));
    await this.use(getClassCurves(input.id, part, bins, mine.signal), mine, (found) => (this.data.probabilities = found));
  }

  private layoutChart(): void {
    if (!this.classBox.hidden) this.chart.fill({ start: 0, step: 1 }, this.classes.map(() => []), () => true);
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
    const { labels } = this;
    const comes = !this.tooLarge() && !this.inView();
    const waits = labels === null || (labels.problem === "" && (labels.size === null || labels.filling || comes));
    if (waits && this.active) this.polling = window.setTimeout(() => void this.look(), POLL);
  }

  /** Take over how far the labels are; what may have changed is loaded again. */
  take(labels: Labels): void {
    const before = this.labels;
    this.labels = labels;
    this.hooks.know(labels);
    const found = labels.complete !== before?.complete;
    if (before?.size == null && labels.size !== null) this.load(0);
    else if (labels.size !== null && (found || labels.version !== this.version)) void this.refresh(found);
    this.tell();
  }

  /** Whether the labels of all that is in view are known. */
  private inView(): boolean {
    const { shares } = this.data;
    if (shares === null) return false;
    const { start, end } = this.window;
    const [first, last] = [start, end].map((position) => (position - shares.start) / shares.step);
    if (first < 0 || last > shares.known.length + 1e-6) return false;
    return shares.known.slice(Math.floor(first), Math.ceil(last)).every((known) => known);
  }

  /** Whether more is in view than is computed for a view alone. */
  private tooLarge(): boolean {
    return this.window.size > 2 ** 24 && this.labels?.whole === false;
  }

  tell(): void {
    const { labels } = this;
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

