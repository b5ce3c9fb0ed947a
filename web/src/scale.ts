// The scale bar: a round length that is about a hundred pixels long.

const UNITS: [string, number][] = [
  ["nm", 1e-9],
  ["µm", 1e-6],
  ["mm", 1e-3],
  ["m", 1],
  ["km", 1e3],
];
const MOST = 120;

/** The largest of 1, 2, 5, 10, ... that is not above a number. */
export function roundLength(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most));
  return ([5, 2].find((factor) => factor * power <= most) ?? 1) * power;
}

/** A length with the unit in which it is a number of few digits. */
export function lengthText(length: number, unit: string | null): string {
  const known = UNITS.find(([name]) => name === unit || (unit === "um" && name === "µm"));
  if (known === undefined) return `${Number(length.toPrecision(3))} ${unit ?? ""}`.trim();
  const meters = length * known[1];
  const fitting = [...UNITS].reverse().find(([, size]) => meters >= size * 0.9999) ?? UNITS[0];
  return `${Number((meters / fitting[1]).toPrecision(3))} ${fitting[0]}`;
}

/** Width and text of a bar, where one CSS pixel is `perPixel` pixels of the image that are `spacing` apart. */
export function scaleBar(perPixel: number, spacing: number | null, unit: string | null): { width: number; text: string } {
  const distance = perPixel * (spacing ?? 1);
  const length = roundLength(MOST * distance);
  return { width: length / distance, text: spacing === null ? `${length} px` : lengthText(length, unit) };
}
