// The labels over the image: tiles of class numbers, colored here, so that classes and opacity change at once. Where the
// exact labels are not known yet, a preview is drawn, hatched.

import { getLabelTile, getPreview, Refused, type Box, type Labels, type Run, type Source } from "./api";
import { clearedPen, colorTable, keyOf, tilesInView, type TilePlace } from "./tiles";

/** Where the plane of the labels is on the screen, in CSS pixels: the place of its corner, and its size. */
export interface Placement {
  left: number;
  top: number;
  width: number;
  height: number;
}

interface Tile extends TilePlace {
  values: Uint8Array<ArrayBuffer> | null;
  exact: boolean;
  version: number;
  /** Of which network; `stale` labels are those of the one before, until new ones come. */
  network: number;
  stale: boolean;
  picture: HTMLCanvasElement | null;
  mask: HTMLCanvasElement | null;
  used: number;
}

const KEPT = 400;
const AT_ONCE = 4;

export function canvasOf(width: number, height: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

export function context(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const found = canvas.getContext("2d");
  if (found === null) throw new Error("this browser has no canvas");
  return found;
}

function hatching(): CanvasPattern | null {
  const stripe = canvasOf(8, 8);
  const pen = context(stripe);
  pen.strokeStyle = "#000";
  pen.lineWidth = 3;
  pen.beginPath();
  for (const shift of [-8, 0, 8]) {
    pen.moveTo(shift, 8);
    pen.lineTo(shift + 8, 0);
  }
  pen.stroke();
  return pen.createPattern(stripe, "repeat");
}

export class LabelLayer {
  visible = true;
  private readonly pen: CanvasRenderingContext2D;
  private readonly hatch = hatching();
  private tiles = new Map<string, Tile>();
  private loading = new Map<string, AbortController>();
  private preview: { box: Box; values: Uint8Array<ArrayBuffer>; picture: HTMLCanvasElement } | null = null;
  private previewing: AbortController | null = null;
  private previewedBox = "";
  private clock = 0;
  private levels: [number, number][] = [];
  private version = -1;
  private network = 0;
  private placement: Placement | null = null;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private run: Run,
    private readonly hidden: ReadonlySet<number>,
    private readonly tileSize: number,
    private readonly input: number,
    private readonly plane: { axis: number; index: number },
    private readonly changed: () => void,
    private readonly failed: (reason: string) => void,
    readonly source: Source = "labels",
  ) {
    this.pen = context(canvas);
  }

  /** Forget everything that is being loaded. */
  close(): void {
    for (const one of this.loading.values()) one.abort();
    this.loading.clear();
    this.previewing?.abort();
    this.levels = [];
    this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  /** Another network labels from now on; what is on the screen stays until its labels come. */
  renew(run: Run): void {
    this.run = run;
    this.network += 1;
    this.version = -1;
    this.previewedBox = "";
    for (const one of this.loading.values()) one.abort();
    this.recolor();
  }

  /** Take over how far the labels are; tiles that may have changed are loaded again. */
  update(labels: Labels): void {
    this.levels = labels.planes[this.plane.axis] ?? [];
    if (labels.version !== this.version) {
      this.version = labels.version;
      this.load();
    }
  }

  get size(): [number, number] | null {
    return this.levels[0] ?? null;
  }

  /** Show the labels where the image is now. */
  place(placement: Placement): void {
    this.placement = placement;
    this.canvas.dataset.placement = `${placement.left},${placement.top},${placement.width},${placement.height}`;
    this.draw();
    this.load();
  }

  /** The part of the plane that is in view, in positions of the labels. */
  view(): Box | null {
    const { placement, size } = this;
    if (placement === null || size === null) return null;
    const [height, width] = size;
    const across = width / placement.width;
    const down = height / placement.height;
    const box = {
      top: Math.max(0, Math.floor(-placement.top * down)),
      left: Math.max(0, Math.floor(-placement.left * across)),
      bottom: Math.min(height, Math.ceil((this.canvas.clientHeight - placement.top) * down)),
      right: Math.min(width, Math.ceil((this.canvas.clientWidth - placement.left) * across)),
    };
    return box.top < box.bottom && box.left < box.right ? box : null;
  }

  /** Whether all labels in view are exact, some are a preview or missing, or nothing is in view. */
  get state(): "exact" | "preview" | "missing" | "nothing" {
    const wanted = this.wanted();
    const box = this.view();
    if (wanted.length === 0 || box === null) return "nothing";
    if (wanted.every((place) => this.isKnown(place, box))) return "exact";
    return this.preview === null ? "missing" : "preview";
  }

  /** Load a preview of what is in view, unless its labels are known. */
  async requestPreview(): Promise<void> {
    const box = this.view();
    if (box === null || !this.visible || this.source !== "labels") return;
    const named = JSON.stringify(box);
    if (this.state === "exact" || named === this.previewedBox) return;
    this.previewedBox = named;
    this.previewing?.abort();
    const mine = new AbortController();
    this.previewing = mine;
    try {
      const { values, height, width } = await getPreview(this.input, box, mine.signal);
      const picture = canvasOf(width, height);
      this.preview = { box, values, picture };
      this.color(picture, values);
      this.draw();
      this.changed();
    } catch (error) {
      if (this.previewedBox === named) this.previewedBox = "";
      this.report(error);
    }
  }

  /** Color everything anew, after a class was shown or hidden. */
  recolor(): void {
    for (const tile of this.tiles.values()) this.paint(tile);
    if (this.preview !== null) this.color(this.preview.picture, this.preview.values);
    this.draw();
  }

  /** Whether all labels of a tile are known that lie in a box; the rest of the tile may be unknown. */
  private isKnown(place: TilePlace, box: Box): boolean {
    const tile = this.tiles.get(keyOf(place));
    if (tile === undefined || tile.values === null || tile.stale || tile.network !== this.network) return false;
    if (tile.exact) return true;
    const [height, width] = this.extent(tile);
    const size = 2 ** tile.level;
    const [top, left] = [tile.row * this.tileSize, tile.column * this.tileSize];
    const rows = [Math.max(0, Math.floor(box.top / size) - top), Math.min(height, Math.ceil(box.bottom / size) - top)];
    const columns = [Math.max(0, Math.floor(box.left / size) - left), Math.min(width, Math.ceil(box.right / size) - left)];
    for (let y = rows[0]; y < rows[1]; y++)
      for (let x = columns[0]; x < columns[1]; x++) if (tile.values[y * width + x] === this.run.unknown) return false;
    return true;
  }

  draw(): void {
    const { placement } = this;
    clearedPen(this.canvas, this.pen);
    if (placement === null || this.size === null || !this.visible) return;
    this.drawPreview(placement);
    this.clock += 1;
    for (const place of this.wanted()) {
      const tile = this.tiles.get(keyOf(place)) ?? this.coarser(place);
      if (tile !== undefined && tile.values !== null) this.drawTile(tile, place, placement);
    }
  }

  private drawPreview(placement: Placement): void {
    if (this.preview === null || this.size === null) return;
    const { box, picture } = this.preview;
    const [x, y, w, h] = this.onScreen(box, placement);
    this.pen.drawImage(picture, x, y, w, h);
    if (this.hatch !== null) {
      this.pen.globalCompositeOperation = "destination-out";
      this.pen.fillStyle = this.hatch;
      this.pen.fillRect(x, y, w, h);
      this.pen.globalCompositeOperation = "source-over";
    }
  }

  /** Draw a tile where it is wanted; of a coarser tile only the part that lies there. */
  private drawTile(tile: Tile, place: TilePlace, placement: Placement): void {
    const { pen } = this;
    tile.used = this.clock;
    const target = this.boxOf(place);
    const own = this.boxOf(tile);
    const [x, y, w, h] = this.onScreen(target, placement);
    const [height, width] = this.extent(tile);
    const across = width / (own.right - own.left);
    const down = height / (own.bottom - own.top);
    const part: [number, number, number, number] = [
      (target.left - own.left) * across,
      (target.top - own.top) * down,
      (target.right - target.left) * across,
      (target.bottom - target.top) * down,
    ];
    if (tile.exact) pen.clearRect(x, y, w, h);
    else if (tile.mask !== null) {
      pen.globalCompositeOperation = "destination-out";
      pen.drawImage(tile.mask, ...part, x, y, w, h);
      pen.globalCompositeOperation = "source-over";
    }
    if (tile.picture !== null) pen.drawImage(tile.picture, ...part, x, y, w, h);
  }

  private onScreen(box: Box, placement: Placement): [number, number, number, number] {
    const [height, width] = this.size ?? [1, 1];
    const across = placement.width / width;
    const down = placement.height / height;
    const left = placement.left + box.left * across;
    const top = placement.top + box.top * down;
    return [left, top, (box.right - box.left) * across, (box.bottom - box.top) * down];
  }

  private boxOf(place: TilePlace): Box {
    const [height, width] = this.size ?? [0, 0];
    const side = this.tileSize * 2 ** place.level;
    return {
      top: place.row * side,
      left: place.column * side,
      bottom: Math.min(height, (place.row + 1) * side),
      right: Math.min(width, (place.column + 1) * side),
    };
  }

  /** Height and width of a tile in pixels of its level. */
  private extent(place: TilePlace): [number, number] {
    const [height, width] = this.levels[place.level] ?? [0, 0];
    return [
      Math.min(this.tileSize, height - place.row * this.tileSize),
      Math.min(this.tileSize, width - place.column * this.tileSize),
    ];
  }

  /** The tiles of the level that fits the screen, nearest to its middle first. */
  private wanted(): TilePlace[] {
    const box = this.view();
    if (box === null || this.placement === null) return [];
    const places = tilesInView(this.placement, this.canvas, this.levels, this.tileSize);
    const side = this.tileSize * 2 ** (places[0]?.level ?? 0);
    const [y, x] = [(box.top + box.bottom) / 2 / side - 0.5, (box.left + box.right) / 2 / side - 0.5];
    const far = (place: TilePlace) => (place.row - y) ** 2 + (place.column - x) ** 2;
    return places.sort((a, b) => far(a) - far(b));
  }

  private coarser(place: TilePlace): Tile | undefined {
    for (let up = 1; place.level + up < this.levels.length; up++) {
      const above = { level: place.level + up, row: place.row >> up, column: place.column >> up };
      const tile = this.tiles.get(keyOf(above));
      if (tile?.values) return tile;
    }
    return undefined;
  }

  /** Load what is in view and not yet exact, a few tiles at a time; what is out of view is given up. */
  private load(): void {
    if (!this.visible || this.version < 0) return;
    const wanted = this.wanted();
    const keys = new Set(wanted.map(keyOf));
    for (const [key, one] of this.loading) if (!keys.has(key)) one.abort();
    for (const place of wanted) {
      if (this.loading.size >= AT_ONCE) break;
      const key = keyOf(place);
      const tile = this.tiles.get(key);
      const current = tile !== undefined && tile.network === this.network;
      if (this.loading.has(key) || (current && (tile.exact || tile.version === this.version))) continue;
      void this.fetch(place, key);
    }
  }

  private async fetch(place: TilePlace, key: string): Promise<void> {
    const mine = new AbortController();
    this.loading.set(key, mine);
    const { version, network } = this;
    try {
      const found = await getLabelTile(this.input, { ...place, ...this.plane }, mine.signal, this.source);
      const before = this.tiles.get(key);
      const stale = found === null && before !== undefined && before.values !== null;
      const fresh = { values: found?.values ?? null, picture: null, mask: null };
      const tile: Tile = {
        ...place,
        ...(stale ? { values: before.values, picture: before.picture, mask: before.mask } : fresh),
        exact: found?.exact ?? false,
        stale,
        version,
        network,
        used: this.clock,
      };
      this.paint(tile);
      this.tiles.set(key, tile);
      this.forget();
      this.draw();
      this.changed();
    } catch (error) {
      this.loading.delete(key);
      this.report(error);
      if (!mine.signal.aborted) return; // the next look at how far the labels are tries again
    }
    this.loading.delete(key);
    this.load();
  }

  private report(error: unknown): void {
    if (error instanceof Refused) this.failed(error.message);
    else if (!(error instanceof DOMException && error.name === "AbortError")) throw error;
  }

  private forget(): void {
    if (this.tiles.size <= KEPT) return;
    const oldest = [...this.tiles.entries()].sort((a, b) => a[1].used - b[1].used);
    for (const [key] of oldest.slice(0, this.tiles.size - KEPT)) this.tiles.delete(key);
  }

  private paint(tile: Tile): void {
    if (tile.values === null) return;
    const [height, width] = this.extent(tile);
    tile.picture ??= canvasOf(width, height);
    this.color(tile.picture, tile.values);
    if (tile.exact || tile.mask !== null) return;
    tile.mask = canvasOf(width, height);
    const pixels = new ImageData(width, height);
    for (let i = 0; i < tile.values.length; i++) pixels.data[4 * i + 3] = tile.values[i] === this.run.unknown ? 0 : 255;
    context(tile.mask).putImageData(pixels, 0, 0);
  }

  private color(canvas: HTMLCanvasElement, values: Uint8Array): void {
    const shown = this.run.classes.filter((one) => !this.hidden.has(one.number));
    const table = colorTable(shown.map((one) => [one.number, one.color]));
    const pixels = new ImageData(canvas.width, canvas.height);
    const numbers = new Uint32Array(pixels.data.buffer);
    for (let i = 0; i < values.length; i++) numbers[i] = table[values[i]];
    context(canvas).putImageData(pixels, 0, 0);
  }
}
