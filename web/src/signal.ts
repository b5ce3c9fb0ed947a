// Recordings and genomes: what is in view is loaded, drawn, moved with pointer, wheel and keys, and read at the cursor.

import "./signal.css";
import { getLabels, Refused, type Channel, type Input, type Labels, type Run } from "./api";
import { ClassChart, Curves, GUTTER, MARGIN } from "./curves";
import { GenomeBar, SignalBar, type JumpBar } from "./jump";
import {
  getClassCurves, getCurves, getFeatures, getLetters, getShares, postWindow,
  type ClassCurves, type Curves as CurveData, type Intervals, type Part, type Sequence, type Shares,
} from "./lineapi";
import { element, listChannels, made } from "./panels";
import { clearReadout, showReadout } from "./linereadout";
import { handle } from "./pointer";
import { lengthText, roundLength } from "./scale";
import { band, classBand, distinct, drawRows, features, letters, overview, ruler, type ClassColor, type Row } from "./tracks";
import { timeText, Window } from "./window";

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
  private data: CurveData | null = null;
  private shares: Shares | null = null;
  private truth: Shares | null = null;
  private probabilities: ClassCurves | null = null;
  private found: Intervals | null = null;
  private annotated: Intervals | null = null;
  private bases: { start: number; letters: string } | null = null;
  private version = -1;
  private part: Part = { start: 0, stop: 1, sequence: 0 };

  constructor(
    stage: HTMLElement,
    private readonly run: Run,
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
    this.data = this.shares = this.truth = this.probabilities = this.found = this.annotated = this.bases = null;
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
    if (!this.classBox.hidden) this.chart.show(this.classes.map((one) => one.color), width, this.classHeight());
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

  /** Height of the probabilities: all that is left, where there are no curves. */
  private classHeight(): number {
    const height = this.box.clientHeight;
    if (this.shown.length > 0) return Math.min(130, height / 4);
    return Math.max(90, Math.min(420, height - 104 - this.bar.offsetHeight - this.canvas.offsetHeight));
  }

  private curveHeight(): number {
    return Math.max(64, Math.floor(this.curveBox.clientHeight / Math.max(1, this.shown.length)) - 1);
  }

  private redrawn(): void {
    this.fitted = true;
    this.layout();
    this.load(150);
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
    if (this.data !== null) this.curves.fill(this.data, this.data.low, this.data.high);
    if (this.probabilities !== null && !this.classBox.hidden)
      this.chart.fill(this.probabilities, this.probabilities.probabilities, (number) => !this.hidden.has(number));
    this.curves.look(start, end);
    this.chart.look(start, end);
    this.drawTracks();
  }

  private drawTracks(): void {
    drawRows(this.canvas, this.rows(), this.window.start, this.window.end);
    if (this.room === this.canvas.offsetHeight) return;
    this.room = this.canvas.offsetHeight; // there are more or fewer rows than before
    this.chart.resize(this.box.clientWidth, this.classHeight());
    this.curves.resize(this.curveBox.clientWidth, this.curveHeight());
  }

  private rows(): Row[] {
    const { input } = this;
    if (input === null) return [];
    const rows: Row[] = [];
    const genome = input.view === "genome";
    if (genome) rows.push(letters(this.bases?.start ?? 0, this.bases?.letters ?? ""));
    if (this.annotated !== null) rows.push(features("annotated", this.annotated.intervals, () => "#77808d"));
    if (this.labelsOn && this.run.name !== null) {
      const colors = new Map(this.classes.map((one) => [one.name, one.color]));
      const colorOf = (one: { kind: string; strand: string }) =>
        colors.get(one.kind + one.strand) ?? colors.get(one.kind) ?? "#0b6e63";
      if (this.found?.found) rows.push(features("network", this.found.intervals, colorOf));
      rows.push(...this.classRows(genome));
    }
    const [scale, shift] = genome ? [1, 1] : [input.spacing?.[0] ?? 1, 0];
    rows.push(ruler(scale, shift, (value, step) => this.axisText(value, step)), overview(this.window.total));
    return rows;
  }

  private classRows(genome: boolean): Row[] {
    const rows: Row[] = [];
    if (this.shares !== null) {
      const { shares } = this;
      if (!genome) rows.push(band("labels", shares, this.classes, this.hidden));
      else this.classes.forEach((one, n) => this.hidden.has(n) || rows.push(classBand(shares, n, one)));
    }
    if (this.truth !== null && !genome) rows.push(band("truth", this.truth, this.classes, this.hidden));
    return rows;
  }

  private axisText(value: number, step: number): string {
    if (this.input?.view === "genome") return Math.round(value).toLocaleString("en");
    if (this.input?.spacing == null) return Math.round(value).toLocaleString("en");
    return this.input.unit === "s" ? timeText(value, step) : lengthText(value, this.input.unit);
  }

  /** A round length of the axis, and how wide it is on the screen. */
  scale(): { width: number; text: string } {
    const genome = this.input?.view === "genome";
    const spacing = genome ? 1 : (this.input?.spacing?.[0] ?? 1);
    const distance = (this.window.size / this.width) * spacing;
    const length = roundLength(120 * distance);
    const unit = genome ? "b" : this.input?.spacing == null ? "samples" : this.input.unit;
    const factor = genome && length >= 1e6 ? 1e6 : genome && length >= 1e3 ? 1e3 : 1;
    const name = genome ? { 1: "bases", 1000: "kb", 1000000: "Mb" }[factor] : unit;
    return { width: length / distance, text: `${Number((length / factor).toPrecision(3))} ${name ?? ""}`.trim() };
  }

  // ------------------------------------------------------------------------------------------------ moving

  private move(change: () => void): void {
    if (!this.active) return;
    change();
    this.jump?.tell(null, this.window);
    this.cursor.hidden = true;
    this.draw();
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
    showReadout(this.input, this.shown, this.run, position, {
      curves: this.data,
      shares: this.labelsOn ? this.shares : null,
      truth: this.truth,
      probabilities: this.probabilities,
      features: [...(this.found?.intervals ?? []), ...(this.annotated?.intervals ?? [])],
    });
  }

  // ------------------------------------------------------------------------------------------------ loading

  private load(after: number): void {
    window.clearTimeout(this.timer);
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

  /** So many bins that each is a pixel wide. */
  private get bins(): number {
    return Math.min(4096, Math.ceil((this.width * (this.part.stop - this.part.start)) / this.window.size));
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
      this.data = found;
      this.fitCurves(input, found);
      if (!found.complete) this.load(POLL);
    });
  }

  /** The first look at a recording, at all of it, says where its curves begin and end. */
  private fitCurves(input: Input, found: CurveData): void {
    if (this.fitted) return;
    this.fitted = found.complete;
    this.shown.forEach((channel, n) => {
      const values = [...found.low[n], ...found.high[n]].filter((value) => value !== null);
      if (values.length === 0) return;
      const [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
      const room = 0.04 * (high - low || 1);
      channel.low = Number((low - room).toPrecision(4));
      channel.high = Number((high + room).toPrecision(4));
      Object.assign(input.channels[channel.number], { low: channel.low, high: channel.high });
    });
    listChannels(input, this.channels, () => this.redrawn());
    this.layout();
  }

  private async fetchGenome(input: Input, part: Part, mine: AbortController): Promise<void> {
    if (input.view !== "genome") return;
    if (part.stop - part.start <= MOST_LETTERS)
      await this.use(getLetters(input.id, part, mine.signal), mine, (found) => (this.bases = found));
    else this.bases = null;
    if (input.annotated)
      await this.use(getFeatures(input.id, part, "file", mine.signal), mine, (found) => (this.annotated = found));
    if (this.run.name !== null)
      await this.use(getFeatures(input.id, part, "network", mine.signal), mine, (found) => (this.found = found));
  }

  private async fetchClasses(input: Input, part: Part, mine: AbortController): Promise<void> {
    const { bins } = this;
    if (input.truth)
      await this.use(getShares(input.id, part, bins, "file", mine.signal), mine, (found) => (this.truth = found));
    if (this.labels?.size == null || this.labels.problem !== "") return;
    this.version = this.labels.version;
    await this.use(getShares(input.id, part, bins, "network", mine.signal), mine, (found) => (this.shares = found));
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
      this.probabilities = null;
      this.layoutChart();
      return;
    }
    const bins = Math.min(4096, Math.ceil(this.width));
    await this.use(getClassCurves(input.id, part, bins, mine.signal), mine, (found) => (this.probabilities = found));
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
    const waits = labels === null || (labels.problem === "" && (labels.size === null || labels.filling || !this.inView()));
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
    const { shares } = this;
    if (shares === null) return false;
    const { start, end } = this.window;
    const [first, last] = [start, end].map((position) => (position - shares.start) / shares.step);
    if (first < 0 || last > shares.known.length + 1e-6) return false;
    return shares.known.slice(Math.floor(first), Math.ceil(last)).every((known) => known);
  }

  tell(): void {
    const { labels } = this;
    if (labels === null || labels.problem !== "" || !this.labelsOn) return this.hooks.say("", "");
    if (labels.size === null) this.hooks.say("Opening it for the network …", "missing");
    else if (labels.state === "reading")
      this.hooks.say(`The network reads all of it once: ${Math.round(100 * labels.read)} %`, "missing");
    else if (this.inView()) this.hooks.say(labels.filling ? "Exact labels; finding the rest …" : "Exact labels", "exact");
    else if (this.window.size > 2 ** 24 && !labels.filling && !labels.whole)
      this.hooks.say("Zoom in, or label everything", "missing");
    else this.hooks.say("Computing the labels …", "missing");
  }
}

