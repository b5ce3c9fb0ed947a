// What is at the position that was clicked: place, values, class and probabilities.

import { getProbability, getValue, Refused, type Input, type Labels, type Plane, type Run } from "./api";
import { element, made } from "./panels";
import { lengthText } from "./scale";
import type { Spot } from "./stage";

const MOST_CLASSES = 6;

export class Readout {
  private asked: AbortController | null = null;

  constructor(private readonly run: Run) {}

  clear(): void {
    this.asked?.abort();
    element("readout").replaceChildren(made("p", { className: "note" }, "Click on the image."));
  }

  /** Show what is known of a position; what must be computed follows. */
  async show(input: Input, plane: Plane, index: number, spot: Spot, labels: Labels | null): Promise<void> {
    this.asked?.abort();
    const mine = new AbortController();
    this.asked = mine;
    const place = { axis: plane.axis, index, row: spot.row, column: spot.column };
    const facts = made("dl");
    const says = made("div");
    element("readout").replaceChildren(facts, says);
    const add = (name: string, value: string) => facts.append(made("dt", {}, name), made("dd", {}, value));
    add("Row, column", `${spot.row}, ${spot.column}${plane.count > 1 ? ` of slice ${index}` : ""}`);
    if (plane.spacing !== null) {
      const [down, across] = plane.spacing.map((distance, n) => distance * (n === 0 ? spot.row : spot.column));
      add("From the corner", `${lengthText(down, input.unit)}, ${lengthText(across, input.unit)}`);
    }
    try {
      const { values } = await getValue(input.id, place, mine.signal);
      values.forEach((value, n) => {
        const name = input.channels[n]?.name || (values.length === 1 ? "Value" : `Channel ${n + 1}`);
        if (n < 16) add(name, value === null ? "no number" : String(Number(value.toPrecision(6))));
      });
      if (labels !== null && labels.size !== null && labels.problem === "") {
        says.replaceChildren(made("p", { className: "note" }, "computing the probabilities …"));
        const { planes } = labels;
        const [rows, columns] = planes[plane.axis]?.[0] ?? plane.grid;
        const on = {
          ...place,
          row: Math.min(rows - 1, Math.floor(((spot.row + 0.5) * rows) / plane.grid[0])),
          column: Math.min(columns - 1, Math.floor(((spot.column + 0.5) * columns) / plane.grid[1])),
        };
        const found = await getProbability(input.id, on, mine.signal);
        add("Class", found.name);
        says.replaceChildren(this.bars(found.probabilities));
      }
    } catch (error) {
      if (error instanceof Refused) says.replaceChildren(made("p", { className: "problem" }, error.message));
      else if (!(error instanceof DOMException && error.name === "AbortError")) throw error;
    }
  }

  /** The most probable classes, as bars. */
  private bars(probabilities: number[]): HTMLElement {
    const order = probabilities.map((_, n) => n).sort((a, b) => probabilities[b] - probabilities[a]);
    const rows = order.slice(0, MOST_CLASSES).map((n) => {
      const one = this.run.classes[n];
      const bar = made("span", { className: "bar" });
      bar.style.width = `${100 * probabilities[n]}%`;
      bar.style.background = `#${one.color}`;
      const percent = `${(100 * probabilities[n]).toFixed(1)} %`;
      return made("li", {}, made("span", { className: "grow" }, one.name), made("span", {}, percent), bar);
    });
    return made("ul", { className: "bars" }, ...rows);
  }
}
