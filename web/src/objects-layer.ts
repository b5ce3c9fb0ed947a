// Objects over the image: each in a color of its own with its outline, the chosen ones white, and the line being drawn.

import { getNumberTile, type Point } from "./objects-api";
import { TileLayer } from "./tile-layer";
import { type LevelSizes, type TilePlace } from "./tiles";

const FILLED = 90;
const CHOSEN = 0xffffffff;

export class ObjectLayer extends TileLayer<Uint32Array> {
  readonly chosen = new Set<number>();

  constructor(
    canvas: HTMLCanvasElement,
    private readonly input: number,
    levels: LevelSizes,
    tileSize: number,
    changed: () => void,
    failed: (reason: string) => void,
  ) {
    super(canvas, levels, tileSize, changed, failed);
  }

  protected ask(place: TilePlace, signal: AbortSignal): Promise<{ values: Uint32Array; revision: number }> {
    return getNumberTile(this.input, place, signal);
  }

  /** Whether a point lies in the image. */
  holds([row, column]: Point): boolean {
    const [rows, columns] = this.grid;
    return row >= 0 && row < rows && column >= 0 && column < columns;
  }

  /** Draw everything; `drawn` is the line in progress, `closed` whether it is an outline. */
  draw(drawn: Point[] | null, closed: boolean): void {
    if (!this.drawTiles(1) || drawn === null) return;
    const { pen } = this;
    for (const [width, style] of [[5, "#000"], [2.5, "#ffe119"]] as const) {
      pen.beginPath();
      for (const point of drawn) pen.lineTo(...this.onScreen(point));
      if (closed) pen.closePath();
      pen.lineWidth = width;
      pen.strokeStyle = style;
      pen.stroke();
    }
  }

  /** Fill each object with its color; the pixels at its border are opaque. */
  protected color(values: Uint32Array, out: Uint32Array, width: number, height: number): void {
    for (let y = 0, i = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++) {
        const number = values[i];
        if (number === 0) continue;
        const border =
          (x > 0 && values[i - 1] !== number) || (x < width - 1 && values[i + 1] !== number) ||
          (y > 0 && values[i - width] !== number) || (y < height - 1 && values[i + width] !== number);
        const chosen = this.chosen.has(number);
        const color = chosen ? CHOSEN : colorOf(number);
        out[i] = border ? color : ((color & 0xffffff) | ((chosen ? 2 * FILLED : FILLED) << 24)) >>> 0;
      }
  }
}

/** A color of a number as an opaque pixel (ABGR); neighboring numbers differ much: their hues are a golden angle apart. */
function colorOf(number: number): number {
  const hue = ((number * 0.618034) % 1) * 6;
  const [low, high] = [60, 245];
  const level = (shift: number) => {
    const k = (shift + hue) % 6;
    return Math.round(high - (high - low) * Math.max(0, Math.min(k, 4 - k, 1)));
  };
  return ((255 << 24) | (level(1) << 16) | (level(3) << 8) | level(5)) >>> 0;
}
