// What was loaded of a recording or a genome, as rows below its curves, and the scale of its axis.

import type { Input } from "./api";
import type { ClassCurves, Curves, Intervals, Shares } from "./lineapi";
import { lengthText, roundLength } from "./scale";
import { band, classBand, features, letters, overview, ruler, type ClassColor, type Row } from "./tracks";
import { ticks, timeText, timeTicks } from "./window";

export interface LineData {
  curves: Curves | null;
  /** How much of each bin has each class, as the network says it, and as it is true. */
  shares: Shares | null;
  truth: Shares | null;
  probabilities: ClassCurves | null;
  /** Features that the network has found, and annotated ones. */
  found: Intervals | null;
  annotated: Intervals | null;
  bases: { start: number; letters: string } | null;
}

export const nothing = (): LineData => ({
  curves: null, shares: null, truth: null, probabilities: null, found: null, annotated: null, bases: null,
});

interface Shown {
  classes: ClassColor[];
  hidden: ReadonlySet<number>;
  labels: boolean;
}

/** The rows of what is in view; `total` is the length of all. */
export function rowsOf(input: Input, data: LineData, shown: Shown, total: number): Row[] {
  const rows: Row[] = [];
  const genome = input.view === "genome";
  if (genome) rows.push(letters(data.bases?.start ?? 0, data.bases?.letters ?? ""));
  if (data.annotated !== null) rows.push(features("annotated", data.annotated.intervals, () => "#77808d"));
  if (shown.labels) {
    const colors = new Map(shown.classes.map((one) => [one.name, one.color]));
    const colorOf = (one: { kind: string; strand: string }) =>
      colors.get(one.kind + one.strand) ?? colors.get(one.kind) ?? "#0b6e63";
    if (data.found?.found) rows.push(features("network", data.found.intervals, colorOf));
    rows.push(...classRows(data, shown, genome));
  }
  const [scale, shift] = genome ? [1, 1] : [input.spacing?.[0] ?? 1, 0];
  const steps = !genome && input.spacing !== null && input.unit === "s" ? timeTicks : ticks;
  rows.push(ruler(scale, shift, steps, (value, step) => axisText(input, value, step)), overview(total));
  return rows;
}

function classRows(data: LineData, shown: Shown, genome: boolean): Row[] {
  const { shares, truth } = data;
  if (genome && shares !== null)
    return shown.classes.flatMap((one, n) => (shown.hidden.has(n) ? [] : [classBand(shares, n, one)]));
  const rows: Row[] = [];
  if (shares !== null) rows.push(band("labels", shares, shown.classes, shown.hidden));
  if (truth !== null && !genome) rows.push(band("truth", truth, shown.classes, shown.hidden));
  return rows;
}

function axisText(input: Input, value: number, step: number): string {
  if (input.view === "genome" || input.spacing === null) return Math.round(value).toLocaleString("en");
  return input.unit === "s" ? timeText(value, step) : lengthText(value, input.unit);
}

/** A round length of the axis, and how wide it is on the screen, where a pixel covers so many positions. */
export function scaleOf(input: Input, perPixel: number): { width: number; text: string } {
  const genome = input.view === "genome";
  const distance = perPixel * (genome ? 1 : (input.spacing?.[0] ?? 1));
  const length = roundLength(120 * distance);
  const factor = genome && length >= 1e6 ? 1e6 : genome && length >= 1e3 ? 1e3 : 1;
  const unit = genome ? { 1: "bases", 1000: "kb", 1000000: "Mb" }[factor] : input.spacing === null ? "samples" : input.unit;
  return { width: length / distance, text: `${Number((length / factor).toPrecision(3))} ${unit ?? ""}`.trim() };
}
