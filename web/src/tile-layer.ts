// A canvas over the image with values that the server changes: the tiles in view are loaded anew after every change.

import { Refused } from "./api";
import { canvasOf, context, type Placement } from "./labels";
import { clearedPen, drawTile, keyOf, tilesInView, type LevelSizes, type TilePlace } from "./tiles";

interface Tile<Values> extends TilePlace {
  values: Values;
  /** The tile shows all changes up to this one. */
  revision: number;
  picture: HTMLCanvasElement;
}

const AT_ONCE = 4;

/** Which values there are, and how they are colored, is said by its subclasses. */
export abstract class TileLayer<Values> {
  protected readonly pen: CanvasRenderingContext2D;
  protected placement: Placement | null = null;
  private tiles = new Map<string, Tile<Values>>();
  private loading = new Map<string, AbortController>();
  private known = -1;
  private again = 0;

  /** `changed` is called when there is something to draw, `failed` with the reason when a tile was refused. */
  constructor(
    protected readonly canvas: HTMLCanvasElement,
    private readonly levels: LevelSizes,
    private readonly tileSize: number,
    protected readonly changed: () => void,
    private readonly failed: (reason: string) => void,
  ) {
    this.pen = context(canvas);
  }

  /** Ask for the values of a tile; the answer also says after how many changes they are. */
  protected abstract ask(place: TilePlace, signal: AbortSignal): Promise<{ values: Values; revision: number }>;

  /** Write the colors of a tile (ABGR); all pixels are transparent before. */
  protected abstract color(values: Values, out: Uint32Array, width: number, height: number): void;

  close(): void {
    this.placement = null;
    for (const one of this.loading.values()) one.abort();
    window.clearTimeout(this.again);
    clearedPen(this.canvas, this.pen);
  }

  /** How often the values have changed, as far as is known here. */
  get revision(): number {
    return this.known;
  }

  /** Take over how often the values have changed; tiles in view are loaded again. */
  update(revision: number): void {
    this.known = Math.max(this.known, revision);
    this.load();
  }

  place(placement: Placement): void {
    this.placement = placement;
    this.load();
  }

  /** Color everything anew. */
  recolor(): void {
    for (const tile of this.tiles.values()) this.paint(tile);
    this.changed();
  }

  /** Whether every tile in view shows the last change. */
  get current(): boolean {
    return this.wanted().every((place) => this.shows(keyOf(place)));
  }

  /** Rows and columns of the plane. */
  protected get grid(): [number, number] {
    return this.levels[0];
  }

  /** CSS pixels of one pixel of the plane along rows and columns. */
  get scale(): [number, number] {
    const [rows, columns] = this.grid;
    return this.placement === null ? [1, 1] : [this.placement.height / rows, this.placement.width / columns];
  }

  /** Row and column in the plane of a position on the screen. */
  point(x: number, y: number): [row: number, column: number] | null {
    if (this.placement === null) return null;
    const [down, across] = this.scale;
    return [(y - this.placement.top) / down, (x - this.placement.left) / across];
  }

  /** Where a row and a column of the plane are on the screen. */
  protected onScreen([row, column]: [row: number, column: number]): [x: number, y: number] {
    const [down, across] = this.scale;
    return [(this.placement?.left ?? 0) + column * across, (this.placement?.top ?? 0) + row * down];
  }

  /** Draw the tiles; return whether there is a place for them. */
  protected drawTiles(alpha: number): boolean {
    const { canvas, pen, placement } = this;
    clearedPen(canvas, pen);
    if (placement === null) return false;
    pen.globalAlpha = alpha;
    for (const place of this.wanted()) {
      const tile = this.tiles.get(keyOf(place));
      if (tile !== undefined) drawTile(pen, tile.picture, tile, placement, this.levels, this.tileSize);
    }
    pen.globalAlpha = 1;
    return true;
  }

  private wanted(): TilePlace[] {
    return this.placement === null ? [] : tilesInView(this.placement, this.canvas, this.levels, this.tileSize);
  }

  private shows(key: string): boolean {
    return (this.tiles.get(key)?.revision ?? -1) >= this.known;
  }

  /** Load what is in view, a few tiles at a time; what is out of view is given up. */
  private load(): void {
    if (this.known < 0) return;
    const wanted = this.wanted();
    const keys = new Set(wanted.map(keyOf));
    for (const [key, one] of this.loading) if (!keys.has(key)) one.abort();
    if (this.tiles.size > 4 * keys.size + 64) for (const key of this.tiles.keys()) if (!keys.has(key)) this.tiles.delete(key);
    for (const place of wanted) {
      const key = keyOf(place);
      if (this.loading.size < AT_ONCE && !this.shows(key) && !this.loading.has(key)) void this.fetch(place, key);
    }
    this.loaded();
  }

  /** Called when other tiles are in view, or there. */
  protected loaded(): void {
    this.changed();
  }

  private async fetch(place: TilePlace, key: string): Promise<void> {
    const mine = new AbortController();
    this.loading.set(key, mine);
    const asked = this.known;
    try {
      const { values, revision } = await this.ask(place, mine.signal);
      const [height, width] = this.levels[place.level];
      const tall = Math.min(this.tileSize, height - place.row * this.tileSize);
      const wide = Math.min(this.tileSize, width - place.column * this.tileSize);
      // a server that was started anew counts from 0: what it answered is what was asked for, all the same
      const tile = { ...place, values, revision: Math.max(asked, revision), picture: canvasOf(wide, tall) };
      this.known = Math.max(this.known, revision);
      this.paint(tile);
      this.tiles.set(key, tile);
    } catch (error) {
      this.loading.delete(key);
      if (error instanceof Refused) {
        this.failed(error.message);
        window.clearTimeout(this.again);
        this.again = window.setTimeout(() => this.load(), 2000);
        return;
      }
      if (!(error instanceof DOMException && error.name === "AbortError")) throw error;
    }
    this.loading.delete(key);
    if (this.placement !== null) this.load();
  }

  private paint(tile: Tile<Values>): void {
    const { width, height } = tile.picture;
    const pixels = new ImageData(width, height);
    this.color(tile.values, new Uint32Array(pixels.data.buffer), width, height);
    context(tile.picture).putImageData(pixels, 0, 0);
  }
}
