// What is painted: tiles of the mask, over them the strokes that the server has not confirmed yet, and what is being
// drawn. Strokes are shown at once; nothing waits for the server.

import { getMaskTile, type Place, type PaintClass, type Point, type Stroke } from "./paint-api";
import { TileLayer } from "./tile-layer";
import { colorTable, type LevelSizes, type TilePlace } from "./tiles";

export interface Pending {
  stroke: Stroke;
  /** The revision after it was drawn by the server; null before. */
  revision: number | null;
}

const ERASED = "rgba(255, 255, 255, 0.6)";
const ALPHA = 0.85;

export class PaintLayer extends TileLayer<Uint8Array> {
  readonly pending: Pending[] = [];
  places: Place[] = [];

  constructor(
    canvas: HTMLCanvasElement,
    private readonly input: number,
    private readonly plane: { axis: number; index: number },
    levels: LevelSizes,
    tileSize: number,
    private readonly classes: () => PaintClass[],
    changed: () => void,
    failed: (reason: string) => void,
  ) {
    super(canvas, levels, tileSize, changed, failed);
  }

  protected ask(place: TilePlace, signal: AbortSignal): Promise<{ values: Uint8Array; revision: number }> {
    return getMaskTile(this.input, { ...place, ...this.plane }, signal);
  }

  protected color(values: Uint8Array, out: Uint32Array): void {
    const table = colorTable(this.classes().map((one, n) => [n, one.color]));
    for (let i = 0; i < values.length; i++) out[i] = table[values[i]];
  }

  /** A stroke is drawn by the tiles once all of them show it. */
  protected loaded(): void {
    if (this.current) this.forget((one) => one.revision !== null && one.revision <= this.revision);
    this.changed();
  }

  forget(which: (one: Pending) => boolean): void {
    const kept = this.pending.filter((one) => !which(one));
    this.pending.splice(0, this.pending.length, ...kept);
  }

  /** The part of the plane in view. */
  view(): { top: number; left: number; bottom: number; right: number } | null {
    const corner = this.point(0, 0);
    const far = this.point(this.canvas.clientWidth, this.canvas.clientHeight);
    if (corner === null || far === null) return null;
    const [rows, columns] = this.grid;
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
    if (!this.drawTiles(ALPHA)) return;
    this.pen.globalAlpha = ALPHA;
    for (const one of this.pending) this.drawStroke(one.stroke, false);
    if (drawn !== null) this.drawStroke(drawn, true);
    this.pen.globalAlpha = 1;
    this.places.forEach((place, n) => this.drawPlace(place, n + 1));
    if (cursor !== null) this.drawCursor(cursor);
  }

  private drawStroke(stroke: Stroke, unfinished: boolean): void {
    const { pen } = this;
    if (stroke.points.length === 0) return;
    const at = stroke.points.map((point) => this.onScreen(point));
    const color = stroke.label === null ? ERASED : `#${this.classes()[stroke.label]?.color ?? "ffffff"}`;
    pen.fillStyle = pen.strokeStyle = color;
    pen.lineCap = pen.lineJoin = "round";
    if (stroke.kind === "box" && at.length === 2) {
      pen.fillRect(at[0][0], at[0][1], at[1][0] - at[0][0], at[1][1] - at[0][1]);
      return;
    }
    if (stroke.kind === "fill") return; // only the server knows the area
    pen.beginPath();
    for (const place of at) pen.lineTo(...place);
    if (stroke.kind === "polygon") {
      pen.lineWidth = 2;
      pen.stroke();
      if (unfinished) pen.globalAlpha = 0.4;
      pen.fill();
      pen.globalAlpha = ALPHA;
      if (unfinished) for (const [x, y] of at) pen.fillRect(x - 3, y - 3, 6, 6);
      return;
    }
    pen.lineWidth = 2 * Math.max(Math.SQRT1_2, stroke.radius) * this.scale[1];
    if (at.length === 1) pen.lineTo(at[0][0] + 0.01, at[0][1]);
    pen.stroke();
  }

  private drawPlace(place: Place, number: number): void {
    const { pen } = this;
    const [x, y] = this.onScreen([place.row, place.column]);
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
    const { pen } = this;
    const [down, across] = this.scale;
    const [x, y] = this.onScreen(at);
    for (const [line, style] of [[3, "#000"], [1.5, color]] as const) {
      pen.beginPath();
      pen.ellipse(x, y, Math.max(2, radius * across), Math.max(2, radius * down), 0, 0, 2 * Math.PI);
      pen.lineWidth = line;
      pen.strokeStyle = style;
      pen.stroke();
    }
  }
}
