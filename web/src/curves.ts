// Curves over a common axis: one chart for each channel, and one for the probabilities, drawn by uPlot.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { made } from "./panels";
import { themeColor } from "./theme";

/** Pixels left of the curves, for values and names. */
export const GUTTER = 58;
export const MARGIN = 10;

export interface Curve {
  name: string;
  color: string;
  /** Values of the lower and the upper end of the axis. */
  low: number;
  high: number;
}

export interface Bins {
  start: number;
  step: number;
}

interface Chart {
  plot: uPlot;
  row: HTMLElement;
}

/** Two points for each bin, its smallest and its largest value, so that a line through them covers all values. */
function zigzag(bins: Bins, low: (number | null)[], high: (number | null)[]): uPlot.AlignedData {
  if (bins.step === 1) return [low.map((_, n) => bins.start + n + 0.5), low];
  const x: number[] = [];
  const y: (number | null)[] = [];
  low.forEach((value, n) => {
    const at = bins.start + n * bins.step;
    x.push(at + 0.25 * bins.step, at + 0.75 * bins.step);
    y.push(value, high[n]);
  });
  return [x, y];
}

export class Curves {
  private charts: Chart[] = [];
  private window: [number, number] = [0, 1];

  constructor(private readonly host: HTMLElement) {}

  close(): void {
    for (const { plot } of this.charts) plot.destroy();
    this.charts = [];
    this.host.replaceChildren();
  }

  /** Show curves, one below the other. */
  show(curves: Curve[], width: number, height: number): void {
    this.close();
    for (const curve of curves) {
      const row = made("div", { className: "curve" });
      if (curve.name !== "") row.append(made("span", { className: "curve-name" }, curve.name));
      this.host.append(row);
      const plot = new uPlot(this.options(curve, width, height), [[], []], row);
      this.charts.push({ plot, row });
    }
  }

  /** Give the curves their values. */
  fill(bins: Bins, low: (number | null)[][], high: (number | null)[][]): void {
    this.charts.forEach(({ plot }, n) => {
      if (low[n] === undefined) return;
      plot.setData(zigzag(bins, low[n], high[n]), false);
      this.place(plot);
    });
  }

  /** Show a part of the axis. */
  look(start: number, end: number): void {
    this.window = [start, end];
    for (const { plot } of this.charts) this.place(plot);
  }

  resize(width: number, height: number): void {
    for (const { plot } of this.charts) plot.setSize({ width, height });
  }

  private place(plot: uPlot): void {
    plot.setScale("x", { min: this.window[0], max: this.window[1] });
  }

  private options(curve: Curve, width: number, height: number): uPlot.Options {
    return {
      width,
      height,
      padding: [6, MARGIN, 6, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false, auto: false }, y: { auto: false, range: () => [curve.low, curve.high] } },
      axes: [{ show: false }, axis(height)],
      series: [{}, { stroke: curve.color, width: 1, points: { show: false }, spanGaps: false }],
    };
  }
}

/** The probabilities of all classes in one chart. */
export class ClassChart {
  private plot: uPlot | null = null;
  private window: [number, number] = [0, 1];

  constructor(private readonly host: HTMLElement) {}

  close(): void {
    this.plot?.destroy();
    this.plot = null;
    this.host.replaceChildren();
  }

  show(colors: string[], width: number, height: number): void {
    this.close();
    this.plot = new uPlot(
      {
        width,
        height,
        padding: [6, MARGIN, 6, 0],
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false, auto: false }, y: { auto: false, range: () => [-0.02, 1.02] } },
        axes: [{ show: false }, { ...axis(height), splits: () => [0, 0.5, 1] }],
        series: [{}, ...colors.map((color) => ({ stroke: color, width: 1.5, points: { show: false } }))],
      },
      [[], ...colors.map(() => [])],
      this.host,
    );
  }

  fill(bins: Bins, values: (number | null)[][], shown: (number: number) => boolean): void {
    const { plot } = this;
    if (plot === null) return;
    const count = values[0]?.length ?? 0;
    const x = Array.from({ length: count }, (_, n) => bins.start + (n + 0.5) * bins.step);
    plot.setData([x, ...values], false);
    values.forEach((_, n) => plot.setSeries(n + 1, { show: shown(n) }));
    this.look(...this.window);
  }

  look(start: number, end: number): void {
    this.window = [start, end];
    this.plot?.setScale("x", { min: start, max: end });
  }

  resize(width: number, height: number): void {
    this.plot?.setSize({ width, height });
  }
}

function axis(height: number): uPlot.Axis {
  return {
    size: GUTTER,
    gap: 4,
    space: Math.max(24, height / 4),
    font: "11px system-ui, sans-serif",
    stroke: () => themeColor("--faint"),
    grid: { stroke: () => themeColor("--line"), width: 1 },
    ticks: { show: false },
    values: (_, splits) => splits.map((value) => (value === null ? "" : shortText(value))),
  };
}

/** The ends of an axis on which all values of a curve lie; null if it has none. */
export function rangeOf(low: (number | null)[], high: (number | null)[]): { low: number; high: number } | null {
  let [least, most] = [Infinity, -Infinity];
  for (const value of low) if (value !== null) least = Math.min(least, value);
  for (const value of high) if (value !== null) most = Math.max(most, value);
  if (least > most) return null;
  const room = 0.04 * (most - least || 1);
  return { low: Number((least - room).toPrecision(4)), high: Number((most + room).toPrecision(4)) };
}

/** A number with few letters. */
export function shortText(value: number): string {
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-3 && size < 1e5)) return String(Number(value.toPrecision(4)));
  return value.toExponential(1);
}
