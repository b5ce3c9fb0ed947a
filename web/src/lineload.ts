// What is in view of a recording or a genome is loaded: curves, bases, features, and what the network says.

import { type Channel, type Input, type Labels } from "./api";
import {
  getClassCurves, getCurves, getFeatures, getLetters, getShares, postWindow, type Curves as CurveData, type Part,
} from "./lineapi";
import { nothing, type LineData } from "./linerows";

/** Positions of a window up to which the server computes probabilities. */
const EXACT = 2 ** 18;
const MOST_LETTERS = 20000;

/** What the loader is told by the view, and tells it. */
export interface LineLoaderHost {
  draw(): void;
  report(error: unknown): void;
  /** The first curves of a recording say where these begin and end. */
  fit(found: CurveData): void;
  /** Load again after some time: not all curves came. */
  again(): void;
  /** The labels in view are known, or not; `computed` says how far they are after the server was asked for them. */
  told(computed: Labels | null): void;
  /** Say below the curves why there are no probabilities; "" for nothing. */
  note(text: string): void;
}

/** What is wanted. */
export interface LineWish {
  input: Input;
  sequence: number;
  start: number;
  end: number;
  total: number;
  /** Width of the curves in pixels. */
  width: number;
  shown: Channel[];
  /** Whether a network labels. */
  labeled: boolean;
}

export class LineLoader {
  data: LineData = nothing();
  labels: Labels | null = null;
  version = -1;
  private wish: LineWish | null = null;
  private part: Part = { start: 0, stop: 1, sequence: 0 };
  private asked: AbortController | null = null;

  constructor(private readonly host: LineLoaderHost) {}

  /** Give up what is being loaded. */
  stop(): void {
    this.asked?.abort();
  }

  forget(): void {
    this.data = nothing();
    this.labels = null;
    this.version = -1;
  }

  /** Load all that is wanted; return whether it came, and nothing else was wanted meanwhile. */
  async fetch(wish: LineWish): Promise<boolean> {
    this.asked?.abort();
    const mine = new AbortController();
    this.asked = mine;
    this.wish = wish;
    const { input, start, end, total, sequence } = wish;
    const size = end - start;
    const part = {
      start: Math.max(0, Math.floor(start - size / 2)),
      stop: Math.min(total, Math.ceil(end + size / 2)),
      sequence,
    };
    this.part = part;
    const exact = { start: Math.floor(start), stop: Math.ceil(end), sequence };
    await Promise.all([
      this.fetchCurves(wish, part, mine),
      this.fetchGenome(wish, part, mine),
      wish.labeled ? this.fetchClasses(wish, part, mine) : undefined,
      wish.labeled ? this.fetchExact(input, exact, mine) : undefined,
    ]);
    return !mine.signal.aborted;
  }

  /** Load the labels again, which have changed; and features, if these were `found` meanwhile. */
  async refresh(found: boolean): Promise<void> {
    const { wish, asked, part } = this;
    if (wish === null || asked === null || asked.signal.aborted) return;
    await this.fetchClasses(wish, part, asked);
    if (found) await this.fetchGenome(wish, part, asked);
  }

  /** So many bins that each is narrower than a pixel. */
  private bins(wish: LineWish): number {
    const size = wish.end - wish.start;
    return Math.min(4096, Math.ceil((1.5 * wish.width * (this.part.stop - this.part.start)) / size));
  }

  /** Wait for an answer, use it if it is still wanted, and draw. */
  private async use<T>(asked: Promise<T>, mine: AbortController, take: (found: T) => void): Promise<void> {
    try {
      const found = await asked;
      if (mine.signal.aborted) return;
      take(found);
      this.host.draw();
    } catch (error) {
      if (!mine.signal.aborted) this.host.report(error);
    }
  }

  private async fetchCurves(wish: LineWish, part: Part, mine: AbortController): Promise<void> {
    const numbers = wish.shown.map((one) => one.number);
    if (numbers.length === 0) return;
    const count = Math.min(this.bins(wish), Math.floor(200000 / numbers.length));
    await this.use(getCurves(wish.input.id, part, count, numbers, mine.signal), mine, (found) => {
      this.data.curves = found;
      this.host.fit(found);
      if (!found.complete) this.host.again();
    });
  }

  private async fetchGenome({ input, labeled }: LineWish, part: Part, mine: AbortController): Promise<void> {
    if (input.view !== "genome") return;
    if (part.stop - part.start <= MOST_LETTERS)
      await this.use(getLetters(input.id, part, mine.signal), mine, (found) => (this.data.bases = found));
    else this.data.bases = null;
    if (input.annotated)
      await this.use(getFeatures(input.id, part, "file", mine.signal), mine, (found) => (this.data.annotated = found));
    if (labeled)
      await this.use(getFeatures(input.id, part, "network", mine.signal), mine, (found) => (this.data.found = found));
  }

  private async fetchClasses(wish: LineWish, part: Part, mine: AbortController): Promise<void> {
    const { input } = wish;
    const bins = this.bins(wish);
    if (input.truth)
      await this.use(getShares(input.id, part, bins, "file", mine.signal), mine, (found) => (this.data.truth = found));
    if (this.labels?.size == null || this.labels.problem !== "") return;
    this.version = this.labels.version;
    await this.use(getShares(input.id, part, bins, "network", mine.signal), mine, (found) => (this.data.shares = found));
    this.host.told(null);
    if (mine.signal.aborted || this.knows(wish.start, wish.end)) return;
    const asked = postWindow(input.id, wish.sequence, Math.floor(wish.start), Math.ceil(wish.end));
    await this.use(asked, mine, (labels) => this.host.told(labels));
  }

  private async fetchExact(input: Input, part: Part, mine: AbortController): Promise<void> {
    const small = part.stop - part.start <= EXACT;
    this.host.note(small ? "" : "Zoom in for probabilities: 262,144 positions at most");
    if (!small || this.labels?.size == null || this.labels.problem !== "") {
      this.data.probabilities = null;
      this.host.draw();
      return;
    }
    const bins = Math.min(4096, Math.ceil(this.wish?.width ?? 1));
    await this.use(getClassCurves(input.id, part, bins, mine.signal), mine, (found) => (this.data.probabilities = found));
  }

  /** Whether the labels of all positions of a window are known. */
  knows(start: number, end: number): boolean {
    const { shares } = this.data;
    if (shares === null) return false;
    const [first, last] = [start, end].map((position) => (position - shares.start) / shares.step);
    if (first < 0 || last > shares.known.length + 1e-6) return false;
    return shares.known.slice(Math.floor(first), Math.ceil(last)).every((known) => known);
  }
}
