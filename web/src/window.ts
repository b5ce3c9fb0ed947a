// The part of a recording or of a sequence that is in view, and how it is written: "12.5-20" or "chr1:1,200-3,400".

export class Window {
  start = 0;
  end = 1;
  private length = 1;

  /** Look at all of something. */
  reset(length: number): void {
    this.length = Math.max(1, length);
    this.start = 0;
    this.end = this.length;
  }

  get size(): number {
    return this.end - this.start;
  }

  get total(): number {
    return this.length;
  }

  /** Show a part; it is moved or narrowed to fit. At least eight positions are in view, where there are as many. */
  show(start: number, end: number): void {
    const size = Math.min(this.length, Math.max(Math.min(8, this.length), end - start));
    const middle = (start + end) / 2;
    this.start = Math.max(0, Math.min(this.length - size, middle - size / 2));
    this.end = this.start + size;
  }

  /** Zoom so that a position, given as a part of the window, stays where it is. */
  zoomBy(factor: number, at = 0.5): void {
    const size = Math.min(this.length, Math.max(Math.min(8, this.length), this.size / factor));
    const position = this.start + at * this.size;
    this.show(position - at * size, position + (1 - at) * size);
  }

  /** Move by a part of the window. */
  moveBy(part: number): void {
    this.show(this.start + part * this.size, this.end + part * this.size);
  }
}

export interface Jump {
  /** "" for the sequence that is in view. */
  name: string;
  start: number;
  end: number | null;
}

/** Read "name:start-end", "start-end", "name:start" or "name"; null for what is none of these. */
export function parseJump(text: string): Jump | null {
  const match = /^\s*(?:(.*?):)?\s*([\d,._ ]+(?:e\d+)?)\s*(?:(?:-|–|\.\.)\s*([\d,._ ]+(?:e\d+)?))?\s*$/.exec(text);
  if (match === null) return text.trim() === "" ? null : { name: text.trim(), start: Number.NaN, end: null };
  const [start, end] = [match[2], match[3]].map((part) =>
    part === undefined ? null : Number(part.replace(/[,_ ]/g, "")),
  );
  if (start === null || !Number.isFinite(start) || (end !== null && !(end > start))) return null;
  return { name: (match[1] ?? "").trim(), start, end };
}

/** Steps of a ruler, about so many on a stretch: 1, 2 or 5 times a power of ten. */
export function ticks(start: number, end: number, about: number): number[] {
  const rough = (end - start) / Math.max(1, about);
  const power = 10 ** Math.floor(Math.log10(rough));
  return stepsOf(start, end, ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10) * power);
}

/** Steps of a ruler of seconds: parts of minutes and hours where they are long. */
export function timeTicks(start: number, end: number, about: number): number[] {
  const rough = (end - start) / Math.max(1, about);
  const step = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600].find((length) => length >= rough);
  return rough < 5 || step === undefined ? ticks(start, end, about) : stepsOf(start, end, step);
}

function stepsOf(start: number, end: number, step: number): number[] {
  const first = Math.ceil(start / step);
  return Array.from({ length: Math.max(0, Math.floor(end / step) - first + 1) }, (_, n) => (first + n) * step);
}

/** A time in seconds, with as many digits as steps of a ruler need. */
export function timeText(seconds: number, step: number): string {
  const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));
  if (seconds < 120) return `${seconds.toFixed(digits)} s`;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  const rest = (seconds % 60).toFixed(digits).padStart(digits > 0 ? digits + 3 : 2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}
