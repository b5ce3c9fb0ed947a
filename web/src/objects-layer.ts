// Objects over the image: each in a color of its own with its outline, the chosen ones white, and the line being drawn.

import { Refused } from "./api";
import { canvasOf, context, type Placement } from "./labels";
import { getNumberTile, type Point } from "./objects-api";
import { clearedPen, drawTile, keyOf, tilesInView, type LevelSizes, type TilePlace } from "./tiles";

interface Tile extends TilePlace {
  revision: number;
  values: Uint32Array;
  picture: HTMLCanvasElement;
}

const AT_ONCE = 4;
const FILLED = 90;
const CHOSEN = 0xffffffff;

export class ObjectLayer {
  readonly chosen = new Set<number>();
  private readonly pen: CanvasRenderingContext2D;
  private tiles = new Map<string, Tile>();
  private loading = new Map<string, AbortController>();
  private placement: Placement | null = null;
  private revision = -1;
  private again = 0;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly input: number,
    private readonly levels: LevelSizes,
    private readonly tileSize: number,
    private readonly changed: () => void,
    private readonly failed: (reason: string) => void,
  ) {
    this.pen = context(canvas);
  }

  close(): void {
    for (const one of this.loading.values()) one.abort();
    window.clearTimeout(this.again);
    this.placement = null;
    clearedPen(this.canvas, this.pen);
  }

  /** Take over how often the numbers have changed; tiles in view are loaded again. */
  update(revision: number): void {
    this.revision = revision;
    this.load();
  }

  place(placement: Placement): void {
    this.placement = placement;
    this.load();
  }

  /** Color everything anew, after other objects were chosen. */
  recolor(): void {
    for (const tile of this.tiles.values()) this.color(tile);
    this.changed();
  }

  /** Whether every tile in view shows the last change. */
  get current(): boolean {
    return this.wanted().every((place) => this.tiles.get(keyOf(place))?.revision === this.revision);
  }

  /** Row and column in the image of a position on the screen. */
  point(x: number, y: number): Point | null {
    const { placement } = this;
    if (placement === null) return null;
    const [rows, columns] = this.levels[0];
    return [((y - placement.top) / placement.height) * rows, ((x - placement.left) / placement.width) * columns];
  }

  /** Whether a point lies in the image. */
  holds([row, column]: Point): boolean {
    const [rows, columns] = this.levels[0];
    return row >= 0 && row < rows && column >= 0 && column < columns;
  }

  /** Draw everything; `drawn` is the line in progress, `closed` whether it is an outline. */
  draw(drawn: Point[] | null, closed: boolean): void {
    const { canvas, pen, placement } = this;
    clearedPen(canvas, pen);
    if (placement === null) return;
    const wanted = new Set(this.wanted().map(keyOf));
    for (const [key, tile] of this.tiles)
      if (wanted.has(key)) drawTile(pen, tile.picture, tile, placement, this.levels, this.tileSize);
    if (drawn === null) return;
    const [rows, columns] = this.levels[0];
    const at = drawn.map(([row, column]) => [
      placement.left + (column * placement.width) / columns,
      placement.top + (row * placement.height) / rows,
    ]);
    for (const [width, style] of [[5, "#000"], [2.5, "#ffe119"]] as const) {
      pen.beginPath();
      at.forEach(([x, y], n) => (n === 0 ? pen.moveTo(x, y) : pen.lineTo(x, y)));
      if (closed) pen.closePath();
      pen.lineWidth = width;
      pen.strokeStyle = style;
      pen.stroke();
    }
  }

  private wanted(): TilePlace[] {
    return this.placement === null ? [] : tilesInView(this.placement, this.canvas, this.levels, this.tileSize);
  }

  private load(): void {
    if (this.revision < 0) return;
    const wanted = this.wanted();
    const keys = new Set(wanted.map(keyOf));
    for (const [key, one] of this.loading) if (!keys.has(key)) one.abort();
    if (this.tiles.size > 4 * keys.size + 64) for (const key of this.tiles.keys()) if (!keys.has(key)) this.tiles.delete(key);
    for (const place of wanted) {
      const key = keyOf(place);
      if (this.tiles.get(key)?.revision === this.revision) continue;
      if (this.loading.size < AT_ONCE && !this.loading.has(key)) void this.fetch(place, key);
    }
    this.changed();
  }

  private async fetch(place: TilePlace, key: string): Promise<void> {
    const mine = new AbortController();
    this.loading.set(key, mine);
    try {
      const { values, revision } = await getNumberTile(this.input, place, mine.signal);
      const [height, width] = this.levels[place.level];
      const tall = Math.min(this.tileSize, height - place.row * this.tileSize);
      const wide = Math.min(this.tileSize, width - place.column * this.tileSize);
      const tile = { ...place, revision, values, picture: canvasOf(wide, tall) };
      this.revision = Math.max(this.revision, revision);
      this.color(tile);
      this.tiles.set(key, tile);
    } catch (error) {
      this.loading.delete(key);
      if (error instanceof Refused) {
        this.failed(error.message);
        this.again = window.setTimeout(() => this.load(), 2000);
        return;
      }
      if (!(error instanceof DOMException && error.name === "AbortError")) throw error;
    }
    this.loading.delete(key);
    if (this.placement !== null) this.load();
  }

  /** Fill each object with its color; the pixels at its border are opaque. */
  private color(tile: Tile): void {
    const { width, height } = tile.picture;
    const { values } = tile;
    const pixels = new ImageData(width, height);
    const out = new Uint32Array(pixels.data.buffer);
    for (let y = 0, i = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++) {
        const number = values[i];
        if (number === 0) continue;
        const border =
          (x > 0 && values[i - 1] !== number) || (x < width - 1 && values[i + 1] !== number) ||
          (y > 0 && values[i - width] !== number) || (y < height - 1 && values[i + width] !== number);
        const color = this.chosen.has(number) ? CHOSEN : colorOf(number);
        out[i] = border ? color : ((color & 0xffffff) | ((this.chosen.has(number) ? 2 * FILLED : FILLED) << 24)) >>> 0;
      }
    context(tile.picture).putImageData(pixels, 0, 0);
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
