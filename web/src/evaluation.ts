// What the run says of its evaluation: metrics, the worst samples with a way to each, the confusion and the report.

import "./evaluation.css";
import { json, savedAddress } from "./api";
import { element, made } from "./panels";

interface Evaluation {
  split: string;
  metric: string;
  metrics: Record<string, number>;
  classes: string[];
  confusion: number[][];
  worst: { name: string; value: number; input: number | null; sequence: number }[];
  report: boolean;
  problem: string;
}

const NAMES: Record<string, string> = {
  miou: "mean IoU", pixel_accuracy: "pixel accuracy", dice: "mean Dice", ece: "calibration error", images: "samples",
};
/** Classes up to which a cell has room for a number. */
const NUMBERED = 24;

export function addEvaluation(
  show: (input: number, sequence: number) => void,
  report: (error: unknown) => void,
): void {
  const body = made("div", {});
  const details = made("details", { id: "evaluation" }, made("summary", {}, "Evaluation"), body);
  element("labels").after(details);
  let asked = false;
  details.ontoggle = () => {
    if (!details.open || asked) return;
    asked = true;
    body.replaceChildren(made("p", { className: "note" }, "reading the evaluation of the run …"));
    json<Evaluation>("api/evaluation").then(
      (found) => fill(body, found, show),
      (error: unknown) => {
        asked = false;
        body.replaceChildren(made("p", { className: "problem" }, error instanceof Error ? error.message : ""));
        if (!(error instanceof Error)) report(error);
      },
    );
  };
}

function fill(body: HTMLElement, found: Evaluation, show: (input: number, sequence: number) => void): void {
  const facts = made("dl");
  for (const [name, title] of Object.entries({ [found.metric]: NAMES[found.metric] ?? found.metric, ...NAMES }))
    if (found.metrics[name] !== undefined)
      facts.append(made("dt", {}, title), made("dd", {}, String(Number(found.metrics[name].toPrecision(4)))));
  const buttons = made("div", { className: "row" });
  if (found.report) {
    const link = made("a", { className: "button", target: "_blank", rel: "noopener" }, "Report");
    link.href = savedAddress("api/report");
    buttons.append(link);
  }
  if (found.confusion.length > 0) {
    const button = made("button", { type: "button", id: "confusion" }, "Confusion");
    button.onclick = () => confusion(found);
    buttons.append(button);
  }
  const title = made("p", { className: "note" }, `Worst samples of ${found.split}, by ${NAMES[found.metric] ?? found.metric}`);
  const list = made("ul", { id: "worst" });
  const largest = Math.max(...found.worst.map((one) => Math.abs(one.value)), 1e-9);
  for (const one of found.worst) {
    const bar = made("span", { className: "bar" });
    bar.style.width = `${(100 * Math.abs(one.value)) / largest}%`;
    const button = made(
      "button",
      { type: "button", title: one.name, disabled: one.input === null },
      made("span", { className: "grow" }, one.name),
      made("span", {}, one.value.toFixed(3)),
      bar,
    );
    button.onclick = () => one.input !== null && show(one.input, one.sequence);
    list.append(made("li", {}, button));
  }
  body.replaceChildren(facts, buttons);
  if (found.problem !== "") body.append(made("p", { className: "problem" }, found.problem));
  if (found.worst.length > 0) body.append(title, list);
}

/** A table of truth and prediction; colors and numbers are shares of the row. */
function confusion(found: Evaluation): void {
  const numbered = found.classes.length <= NUMBERED;
  const head = made("tr", {}, made("th", {}, "truth ↓ prediction →"));
  for (const name of found.classes) head.append(made("th", { title: name, scope: "col" }, made("span", {}, name)));
  const rows = found.confusion.map((row, truth) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    const line = made("tr", {}, made("th", { scope: "row", title: found.classes[truth] }, found.classes[truth]));
    row.forEach((count, prediction) => {
      const share = total > 0 ? count / total : 0;
      const said = `${found.classes[truth]} labelled ${found.classes[prediction]}: ${count.toLocaleString("en")}`;
      const text = numbered && share >= 0.005 ? (100 * share).toFixed(share < 0.0995 ? 1 : 0) : "";
      const cell = made("td", { title: `${said} (${(100 * share).toFixed(1)} %)` }, text);
      cell.style.setProperty("--share", String(Math.round(100 * Math.sqrt(share))));
      cell.classList.add(truth === prediction ? "right" : "wrong");
      line.append(cell);
    });
    return line;
  });
  const table = made("table", { className: "confusion" }, made("thead", {}, head), made("tbody", {}, ...rows));
  const close = made("button", { type: "button" }, "Close");
  const heading = made("h2", {}, `Confusion on ${found.split}`);
  const note = made("p", { className: "note" }, "Percent of the positions of each true class.");
  const dialog = made("dialog", { id: "confusion-dialog" }, heading, note, made("div", { className: "scroll" }, table), close);
  close.onclick = () => dialog.close();
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
}
