// What is painted: tiles of the mask, over them the strokes that the server has not confirmed yet, and what is being
// drawn. Strokes are shown at once; nothing waits for the server.

import { Refused } from "./api";
import { canvasOf, context, type Placement } from "./labels";
import { getMaskTile, type Place, type PaintClass, type Point, type Stroke } from "./paint-api";
import { clearedPen, drawTile, keyOf, tilesInView, type TilePlace } from "./tiles";

interface Tile extends TilePlace {
  revision: number;
  picture: HTMLCanvasElement;
  values: Uint8Array;
}

export interface Pending {
  stroke: Stroke;
  /** The revision after it was drawn by the server; null before. */
  revision: number | null;
}

const AT_ONCE = 4;
const ERASED = "rgba(255, 255, 255, 0.6)";

export class PaintLayer {
  readonly pending: Pending[] = [];
  places: Place[] = [];
  private readonly pen: CanvasRenderingContext2D;
  private tiles = new Map<string, Tile>();
  private loading = new Map<string, AbortController>();
  private placement: Placement | null = null;
  private revision = -1;
  private again = 0;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly input: number,
    private readonly plane: { axis: number; index: number; grid: [number, number] },
    private readonly levels: [number, number][],
    private readonly tileSize: number,
    private readonly classes: () => PaintClass[],
    private readonly failed: (reason: string) => void,
  ) {
    this.pen = context(canvas);
  }

  close(): void {
    for (const one of this.loading.values()) one.abort();
    window.clearTimeout(this.again);
    this.placement = null;
    this.pen.setTransform(1, 0, 0, 1, 0, 0);
    this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  /** Take over how often the mask has changed; tiles in view are loaded again. */
  update(revision: number): void {
    this.revision = Math.max(this.revision, revision);
    this.load();
  }

  place(placement: Placement): void {
    this.placement = placement;
    this.load();
  }

  recolor(): void {
    for (const tile of this.tiles.values()) this.color(tile);
  }

  /** Row and column in the plane of a position on the screen. */
  point(x: number, y: number): Point | null {
    const { placement } = this;
    if (placement === null) return null;
    const [rows, columns] = this.plane.grid;
    return [((y - placement.top) / placement.height) * rows, ((x - placement.left) / placement.width) * columns];
  }

  /** CSS pixels of one pixel of the plane along rows and columns. */
  get scale(): [number, number] {
    const [rows, columns] = this.plane.grid;
    return this.placement === null ? [1, 1] : [this.placement.height / rows, this.placement.width / columns];
  }

  /** The part of the plane in view. */
  view(): { top: number; left: number; bottom: number; right: number } | null {
    const corner = this.point(0, 0);
    const far = this.point(this.canvas.clientWidth, this.canvas.clientHeight);
    if (corner === null || far === null) return null;
    const [rows, columns] = this.plane.grid;
    const box = {
      top: Math.max(0, Math.floor(corner[0])),
      left: Math.max(0, Math.floor(corner[1])),
      bottom: Math.min(rows, Math.ceil(far[0])),
      right: Math.min(columns, Math.ceil(far[1])),
    };
    return box.top < box.bottom && box.left < box.right ? box : null;
  }

  /** Draw everything; `drawn` is the stroke in progress, `cursor` the circle of the brush. */
  draw(drawn: Stroke | null, cursor: { at: Point; radius: number; color: string } | null): void {
    const { canvas, pen, placement } = this;
    clearedPen(canvas, pen);
    if (placement === null) return;
    pen.globalAlpha = 0.85;
    const wanted = new Set(this.wanted().map(keyOf));
    for (const [key, tile] of this.tiles)
      if (wanted.has(key)) drawTile(pen, tile.picture, tile, placement, this.levels, this.tileSize);
    for (const one of this.pending) this.drawStroke(one.stroke, false);
    if (drawn !== null) this.drawStroke(drawn, true);
    pen.globalAlpha = 1;
    this.places.forEach((place, n) => this.drawPlace(place, n + 1));
    if (cursor !== null) this.drawCursor(cursor);
  }

  private drawStroke(stroke: Stroke, unfinished: boolean): void {
    const { pen, placement } = this;
    if (placement === null || stroke.points.length === 0) return;
    const [down, across] = this.scale;
    const at = stroke.points.map(([row, column]) => [placement.left + column * across, placement.top + row * down]);
    const color = stroke.label === null ? ERASED : `#${this.classes()[stroke.label]?.color ?? "ffffff"}`;
    pen.fillStyle = pen.strokeStyle = color;
    pen.lineCap = pen.lineJoin = "round";
    if (stroke.kind === "box" && at.length === 2) {
      pen.fillRect(at[0][0], at[0][1], at[1][0] - at[0][0], at[1][1] - at[0][1]);
      return;
    }
    if (stroke.kind === "fill") return; // only the server knows the area
    pen.beginPath();
    at.forEach(([x, y], n) => (n === 0 ? pen.moveTo(x, y) : pen.lineTo(x, y)));
    if (stroke.kind === "polygon") {
      pen.lineWidth = 2;
      pen.stroke();
      if (unfinished) pen.globalAlpha = 0.4;
      pen.fill();
      pen.globalAlpha = 0.85;
      if (unfinished) for (const [x, y] of at) pen.fillRect(x - 3, y - 3, 6, 6);
      return;
    }
    pen.lineWidth = 2 * Math.max(Math.SQRT1_2, stroke.radius) * across;
    if (at.length === 1) pen.lineTo(at[0][0] + 0.01, at[0][1]);
    pen.stroke();
  }

  private drawPlace(place: Place, number: number): void {
    const { pen, placement } = this;
    if (placement === null) return;
    const [down, across] = this.scale;
    const [x, y] = [placement.left + place.column * across, placement.top + place.row * down];
    pen.beginPath();
    pen.arc(x, y, 13, 0, 2 * Math.PI);
    pen.fillStyle = "rgba(255, 214, 64, 0.9)";
    pen.fill();
    pen.lineWidth = 2;
    pen.strokeStyle = "#000";
    pen.stroke();
    pen.fillStyle = "#000";
    pen.font = "600 13px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(String(number), x, y + 0.5);
  }

  private drawCursor({ at, radius, color }: { at: Point; radius: number; color: string }): void {
    const { pen, placement } = this;
    if (placement === null) return;
    const [down, across] = this.scale;
    const [x, y] = [placement.left + at[1] * across, placement.top + at[0] * down];
    for (const [line, style] of [[3, "#000"], [1.5, color]] as const) {
      pen.beginPath();
      pen.ellipse(x, y, Math.max(2, radius * across), Math.max(2, radius * down), 0, 0, 2 * Math.PI);
      pen.lineWidth = line;
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
    let old = 0;
    for (const place of wanted) {
      const key = keyOf(place);
      const tile = this.tiles.get(key);
      if (tile !== undefined && tile.revision >= this.revision) continue;
      old += 1;
      if (this.loading.size < AT_ONCE && !this.loading.has(key)) void this.fetch(place, key);
    }
    // a stroke is drawn by the tiles once all of them show it
    if (old === 0) this.forget((one) => one.revision !== null && one.revision <= this.revision);
    this.changed();
  }

  /** Called after tiles have come; set by whoever draws. */
  changed: () => void = () => undefined;

  forget(which: (one: Pending) => boolean): void {
    const kept = this.pending.filter((one) => !which(one));
    this.pending.splice(0, this.pending.length, ...kept);
  }

  private async fetch(place: TilePlace, key: string): Promise<void> {
    const mine = new AbortController();
    this.loading.set(key, mine);
    const { axis, index } = this.plane;
    try {
      const { values, revision } = await getMaskTile(this.input, { ...place, axis, index }, mine.signal);
      const [height, width] = this.levels[place.level];
      const tall = Math.min(this.tileSize, height - place.row * this.tileSize);
      const wide = Math.min(this.tileSize, width - place.column * this.tileSize);
      const tile = { ...place, revision, values, picture: canvasOf(wide, tall) };
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

  private color(tile: Tile): void {
    const table = new Uint32Array(256);
    this.classes().forEach((one, n) => {
      const [red, green, blue] = [0, 2, 4].map((at) => parseInt(one.color.slice(at, at + 2), 16));
      table[n] = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    });
    const pixels = new ImageData(tile.picture.width, tile.picture.height);
    const numbers = new Uint32Array(pixels.data.buffer);
    for (let i = 0; i < tile.values.length; i++) numbers[i] = table[tile.values[i]];
    context(tile.picture).putImageData(pixels, 0, 0);
  }
}
