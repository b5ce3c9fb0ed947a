// Which tiles of a pyramid are on the screen.

import type { Placement } from "./labels";

export interface TilePlace {
  level: number;
  row: number;
  column: number;
}

/** Height and width of every level of a pyramid, finest first. */
export type LevelSizes = [number, number][];

/** The tiles of the level that fits the screen, where a picture lies at a placement in a box of so many CSS pixels. */
export function tilesInView(placement: Placement, box: HTMLElement, levels: LevelSizes, tileSize: number): TilePlace[] {
  const [height, width] = levels[0];
  const perPixel = width / placement.width / (window.devicePixelRatio || 1);
  const level = Math.min(levels.length - 1, Math.max(0, Math.round(Math.log2(perPixel))));
  const side = tileSize * 2 ** level;
  const [down, across] = [height / placement.height, width / placement.width];
  const first = [Math.max(0, -placement.top * down), Math.max(0, -placement.left * across)];
  const last = [
    Math.min(height, (box.clientHeight - placement.top) * down),
    Math.min(width, (box.clientWidth - placement.left) * across),
  ];
  const places = [];
  for (let row = Math.floor(first[0] / side); row * side < last[0]; row++)
    for (let column = Math.floor(first[1] / side); column * side < last[1]; column++) places.push({ level, row, column });
  return places;
}

/** Draw the picture of a tile where it lies on the screen. */
export function drawTile(
  pen: CanvasRenderingContext2D, picture: HTMLCanvasElement, place: TilePlace,
  placement: Placement, levels: LevelSizes, tileSize: number,
): void {
  const [height, width] = levels[0];
  const side = tileSize * 2 ** place.level;
  const [down, across] = [placement.height / height, placement.width / width];
  const [top, left] = [place.row * side, place.column * side];
  const tall = Math.min(picture.height * 2 ** place.level, height - top);
  const wide = Math.min(picture.width * 2 ** place.level, width - left);
  pen.drawImage(picture, placement.left + left * across, placement.top + top * down, wide * across, tall * down);
}

/** Give a canvas the size of its box in pixels of the screen, clear it, and have its pen draw in CSS pixels. */
export function clearedPen(canvas: HTMLCanvasElement, pen: CanvasRenderingContext2D): void {
  const density = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((n) => Math.round(n * density));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.setTransform(density, 0, 0, density, 0, 0);
  pen.imageSmoothingEnabled = false;
}

/** Colors (ABGR) of values from 0 to 255, of some of which the six digits are given; all others are transparent. */
export function colorTable(colors: [value: number, color: string][]): Uint32Array {
  const table = new Uint32Array(256);
  for (const [value, color] of colors) {
    const [red, green, blue] = [0, 2, 4].map((at) => parseInt(color.slice(at, at + 2), 16));
    table[value] = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  }
  return table;
}

export function keyOf(place: TilePlace): string {
  return `${place.level}/${place.row}/${place.column}`;
}
