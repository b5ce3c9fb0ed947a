// Rows below the curves on one canvas: labels, genes, letters and the ruler.

import { GUTTER, MARGIN } from "./curves";
import type { Interval, Shares } from "./lineapi";
import { themeColor } from "./theme";

export interface ClassColor {
  name: string;
  color: string;
}

export interface Row {
  height: number;
  name: string;
  draw(pen: CanvasRenderingContext2D, view: View): void;
}

/** Where positions are on the screen. */
export interface View {
  start: number;
  end: number;
  /** Pixels of the row's left and right end, and its top and height. */
  left: number;
  right: number;
  top: number;
  height: number;
  text: string;
  faint: string;
  line: string;
}

const LETTER_COLORS: Record<string, string> = { A: "#2f9e44", C: "#3b78d8", G: "#d9822b", T: "#d64545" };

export function xOf(view: View, position: number): number {
  return view.left + ((position - view.start) / (view.end - view.start)) * (view.right - view.left);
}

/** A color that can be told from the ground: very dark ones are lighter on a dark page, and very light ones darker. */
export function distinct(color: string): string {
  const ground = themeColor("--panel");
  const [a, b] = [color, ground].map((text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));
  const light = (rgb: number[]) => 0.3 * rgb[0] + 0.59 * rgb[1] + 0.11 * rgb[2];
  if (Math.abs(light(a) - light(b)) >= 40) return color;
  const toward = light(b) < 128 ? 255 : 0;
  return `rgb(${a.map((level) => Math.round(level + 0.45 * (toward - level))).join(" ")})`;
}

/** Draw rows into a canvas, which gets the height that they need. */
export function drawRows(canvas: HTMLCanvasElement, rows: Row[], start: number, end: number): void {
  const density = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = rows.reduce((sum, row) => sum + row.height, 0);
  canvas.style.height = `${height}px`;
  canvas.width = Math.max(1, Math.round(width * density));
  canvas.height = Math.max(1, Math.round(height * density));
  const pen = canvas.getContext("2d");
  if (pen === null) throw new Error("this browser has no canvas");
  const [text, faint, line] = ["--text", "--faint", "--line"].map(themeColor);
  pen.setTransform(density, 0, 0, density, 0, 0);
  pen.textBaseline = "middle";
  let top = 0;
  for (const row of rows) {
    const view = { start, end, left: GUTTER, right: width - MARGIN, top, height: row.height, text, faint, line };
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = faint;
    pen.textAlign = "right";
    pen.fillText(row.name, GUTTER - 6, top + row.height / 2, GUTTER - 8);
    pen.save();
    pen.beginPath();
    pen.rect(view.left, top, view.right - view.left, row.height);
    pen.clip();
    row.draw(pen, view);
    pen.restore();
    top += row.height;
  }
}

/** Labels that exclude each other, as one band; where a bin has several, each takes its share of the height. */
export function band(name: string, found: Shares, classes: ClassColor[], hidden: ReadonlySet<number>): Row {
  return {
    name,
    height: 26,
    draw(pen, view) {
      eachBin(pen, view, found, (x, width, bin) => {
        const shares = found.shares.map((row) => row[bin] ?? 0);
        const total = Math.max(100, shares.reduce((sum, share) => sum + share, 0));
        let top = view.top + 3;
        shares.forEach((share, number) => {
          const height = (share / total) * (view.height - 6);
          if (share > 0 && !hidden.has(number)) {
            pen.fillStyle = classes[number].color;
            pen.fillRect(x, top, width, height);
          }
          top += height;
        });
      });
    },
  };
}

/** Labels of one class of several that may overlap. */
export function classBand(found: Shares, number: number, one: ClassColor): Row {
  return {
    name: one.name,
    height: 16,
    draw(pen, view) {
      eachBin(pen, view, found, (x, width, bin) => {
        const share = found.shares[number]?.[bin] ?? 0;
        if (share === 0) return;
        pen.globalAlpha = 0.25 + (0.75 * share) / 100;
        pen.fillStyle = one.color;
        pen.fillRect(x, view.top + 2, width, view.height - 4);
        pen.globalAlpha = 1;
      });
    },
  };
}

function eachBin(
  pen: CanvasRenderingContext2D,
  view: View,
  found: Shares,
  draw: (x: number, width: number, bin: number) => void,
): void {
  for (let bin = 0; bin < found.known.length; bin++) {
    const from = found.start + bin * found.step;
    if (from + found.step < view.start || from > view.end) continue;
    const x = Math.floor(xOf(view, from)); // whole pixels: no gaps between neighbors
    const width = Math.max(1, Math.floor(xOf(view, from + found.step)) - x);
    if (found.known[bin]) draw(x, width, bin);
    else {
      pen.fillStyle = view.line;
      pen.globalAlpha = 0.5;
      pen.fillRect(x, view.top + view.height / 2 - 1, width, 2);
      pen.globalAlpha = 1;
    }
  }
}

/** Features of both strands as arrows, those of + above. */
export function features(name: string, intervals: Interval[], colorOf: (one: Interval) => string): Row {
  return {
    name,
    height: 34,
    draw(pen, view) {
      const middle = view.top + view.height / 2;
      pen.fillStyle = view.line;
      pen.fillRect(view.left, middle - 0.5, view.right - view.left, 1);
      for (const one of intervals) {
        const up = one.strand === "+" ? true : one.strand === "-" ? false : null;
        const [top, height] = up === null ? [view.top + 4, view.height - 8] : [up ? view.top + 3 : middle + 2, 12];
        pen.fillStyle = colorOf(one);
        const [from, to] = [xOf(view, one.start), xOf(view, one.end)];
        if (one.parts.length > 1) pen.fillRect(from, top + height / 2 - 0.5, to - from, 1);
        one.parts.forEach(([a, b], n) => {
          const points = up === true ? n === one.parts.length - 1 : up === false && n === 0;
          arrow(pen, xOf(view, a), xOf(view, b), top, height, points ? up : null);
        });
        label(pen, view, one, from, to, top + height / 2);
      }
    },
  };
}

function arrow(
  pen: CanvasRenderingContext2D,
  from: number,
  to: number,
  top: number,
  height: number,
  up: boolean | null,
): void {
  const width = Math.max(1, to - from);
  const tip = up === null ? 0 : Math.min(6, width / 2);
  const [left, right] = [from + (up === false ? tip : 0), from + width - (up === true ? tip : 0)];
  pen.beginPath();
  pen.moveTo(left, top);
  pen.lineTo(right, top);
  if (up === true) pen.lineTo(from + width, top + height / 2);
  pen.lineTo(right, top + height);
  pen.lineTo(left, top + height);
  if (up === false) pen.lineTo(from, top + height / 2);
  pen.closePath();
  pen.fill();
}

function label(pen: CanvasRenderingContext2D, view: View, one: Interval, from: number, to: number, y: number): void {
  const [left, right] = [Math.max(from, view.left), Math.min(to, view.right)];
  const text = one.notes.gene ?? one.kind;
  if (right - left < 40) return;
  pen.fillStyle = "#fff";
  pen.font = "10px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.fillText(text, (left + right) / 2, y, right - left - 12);
}

/** Bases as letters, or as colors where letters are too small. */
export function letters(start: number, text: string): Row {
  return {
    name: "bases",
    height: 20,
    draw(pen, view) {
      const size = (view.right - view.left) / (view.end - view.start);
      pen.font = "600 12px ui-monospace, monospace";
      pen.textAlign = "center";
      const first = Math.max(0, Math.floor(view.start) - start);
      const last = Math.min(text.length, Math.ceil(view.end) - start);
      for (let n = first; n < last; n++) {
        const x = xOf(view, start + n);
        pen.fillStyle = LETTER_COLORS[text[n]] ?? view.faint;
        if (size >= 8) pen.fillText(text[n], x + size / 2, view.top + view.height / 2 + 1);
        else pen.fillRect(x, view.top + 5, Math.max(0.6, size - 0.2), view.height - 10);
      }
    },
  };
}

/** The axis: `textOf` gives what is written at one of its `steps`; `scale` and `shift` turn positions into its units. */
export function ruler(
  scale: number,
  shift: number,
  steps: (start: number, end: number, about: number) => number[],
  textOf: (value: number, step: number) => string,
): Row {
  return {
    name: "",
    height: 24,
    draw(pen, view) {
      const about = Math.max(2, (view.right - view.left) / 110);
      const [from, to] = [view.start * scale + shift, view.end * scale + shift];
      const values = steps(from, to, about);
      const step = values.length > 1 ? values[1] - values[0] : to - from;
      pen.textAlign = "center";
      for (const value of values) {
        const x = xOf(view, (value - shift) / scale + 0.5); // the middle of a sample or base
        pen.fillStyle = view.faint;
        pen.fillRect(x - 0.5, view.top, 1, 5);
        const text = textOf(value, step);
        const half = pen.measureText(text).width / 2;
        if (x - half > view.left && x + half < view.right) pen.fillText(text, x, view.top + 15);
      }
    },
  };
}

/** Where the window lies in the whole. */
export function overview(total: number): Row {
  return {
    name: "",
    height: 14,
    draw(pen, view) {
      const [from, to] = [view.start / total, view.end / total];
      const width = view.right - view.left;
      pen.fillStyle = view.line;
      pen.fillRect(view.left, view.top + 5, width, 4);
      pen.fillStyle = view.faint;
      const least = Math.max(4, (to - from) * width);
      pen.fillRect(Math.min(view.right - least, view.left + from * width), view.top + 3, least, 8);
    },
  };
}
