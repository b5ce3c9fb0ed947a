// What is at the cursor of a recording or a genome, read from what is drawn.

import type { Channel, Input, Run } from "./api";
import { shortText } from "./curves";
import type { ClassCurves, Shares } from "./lineapi";
import type { LineData } from "./linerows";
import { element, made } from "./panels";
import { distinct } from "./tracks";
import { timeText } from "./window";

const MOST_CLASSES = 6;
const MOST_CHANNELS = 16;

export function clearReadout(): void {
  element("readout").replaceChildren(made("p", { className: "note" }, "Point at the curves."));
}

function binAt(found: { start: number; step: number }, position: number): number {
  return Math.floor((position - found.start) / found.step);
}

/** The classes of a bin, the most frequent first, with their shares if there are several. */
function classesAt(found: Shares, run: Run, position: number): string {
  const bin = binAt(found, position);
  if (!found.known[bin]) return "not computed yet";
  const there = found.shares
    .map((row, number) => ({ number, share: row[bin] ?? 0 }))
    .filter((one) => one.share > 0)
    .sort((a, b) => b.share - a.share);
  if (there.length === 0) return "none";
  return there
    .map((one) => `${run.classes[one.number].name}${one.share >= 100 ? "" : ` ${one.share} %`}`)
    .slice(0, 4)
    .join(", ");
}

export function showReadout(input: Input, channels: Channel[], run: Run, position: number, known: LineData): void {
  const facts = made("dl");
  const add = (name: string, value: string) => facts.append(made("dt", {}, name), made("dd", {}, value));
  if (input.view === "genome") add("Base", (position + 1).toLocaleString("en"));
  else {
    if (input.spacing !== null) {
      const time = position * input.spacing[0];
      add("Time", input.unit === "s" ? timeText(time, input.spacing[0]) : `${shortText(time)} ${input.unit ?? ""}`);
    }
    add("Sample", position.toLocaleString("en"));
  }
  const { curves } = known;
  if (curves !== null) {
    const bin = binAt(curves, position);
    channels.slice(0, MOST_CHANNELS).forEach((channel, n) => {
      const [low, high] = [curves.low[n]?.[bin], curves.high[n]?.[bin]];
      const name = channel.name || (channels.length === 1 ? "Value" : `Channel ${channel.number + 1}`);
      if (low == null || high == null) add(name, "no number");
      else add(name, low === high ? shortText(low) : `${shortText(low)} to ${shortText(high)}`);
    });
  }
  if (known.shares !== null) add("Class", classesAt(known.shares, run, position));
  if (known.truth !== null) add("True class", classesAt(known.truth, run, position));
  const features = [...(known.found?.intervals ?? []), ...(known.annotated?.intervals ?? [])];
  for (const one of features.filter((feature) => feature.start <= position && position < feature.end).slice(0, 4)) {
    const score = one.score === null ? "annotated" : one.score.toFixed(3);
    add(`${one.kind} ${one.strand}`, `${(one.start + 1).toLocaleString("en")}-${one.end.toLocaleString("en")} (${score})`);
  }
  element("readout").replaceChildren(facts, bars(run, known.probabilities, position));
}

/** The most probable classes, as bars. */
function bars(run: Run, found: ClassCurves | null, position: number): HTMLElement {
  const list = made("ul", { className: "bars" });
  if (found === null) return list;
  const bin = binAt(found, position);
  const values = found.probabilities.map((row) => row[bin] ?? null);
  const order = values.map((_, n) => n).filter((n) => values[n] !== null);
  order.sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0));
  for (const n of order.slice(0, MOST_CLASSES)) {
    const bar = made("span", { className: "bar" });
    const percent = 100 * (values[n] ?? 0);
    bar.style.width = `${percent}%`;
    bar.style.background = distinct(`#${run.classes[n].color}`);
    const name = made("span", { className: "grow" }, run.classes[n].name);
    list.append(made("li", {}, name, made("span", {}, `${percent.toFixed(1)} %`), bar));
  }
  return list;
}
