// The panel of the labels: how many are known, what is wrong, in which files they can be saved; and the line in the corner.

import { savedAddress, type Input, type Labels, type Source } from "./api";
import type { LabelLayer } from "./labels";
import { element, made } from "./panels";

/** Say what is wrong with the labels of an input; return whether anything is. */
export function showProblem(labels: Labels, input: Input | null): boolean {
  const problem = element("label-problem");
  const fits = labels.size === null || input === null || labels.size.length === input.shape.length - 1;
  problem.textContent = labels.problem || (fits ? "" : "These labels have another number of axes than the image.");
  problem.hidden = problem.textContent === "";
  element("label-controls").hidden = !problem.hidden;
  return !problem.hidden;
}

/** Say how many labels are known, and offer to compute or to save all. */
export function showKnown(labels: Labels, input: Input, source: Source, sequence: number): void {
  const { complete } = labels;
  element("known-row").hidden = source === "truth";
  element<HTMLProgressElement>("known").value = labels.known;
  element("known-text").textContent = `${Math.floor(100 * labels.known)} %`;
  const fill = element("fill");
  fill.hidden = complete;
  const genome = input.view === "genome";
  fill.textContent = labels.filling ? "Pause" : genome ? "Label the sequence, find its features" : "Label everything";
  listSaves(input, complete && source === "labels" ? labels : null, sequence);
}

/** The files in which complete labels can be saved. */
function listSaves(input: Input, labels: Labels | null, sequence: number): void {
  const kinds = { signal: ["csv", "npy"], genome: ["gff3", "bed"], planes: ["png", "tif"] }[input.view];
  const links = kinds
    .filter((suffix) => labels !== null && !(suffix === "png" && labels.size?.length !== 2))
    .map((suffix) => {
      const name = { tif: "TIFF", gff3: "GFF3" }[suffix] ?? suffix.toUpperCase();
      const link = made("a", { id: `save-${suffix}`, className: "button", download: "" }, name);
      const query = input.view === "genome" ? `?sequence=${sequence}` : "";
      link.href = savedAddress(`api/inputs/${input.id}/labels.${suffix}${query}`);
      return link;
    });
  const saves = element("saves");
  const before = [...saves.querySelectorAll("a")].map((link) => link.href).join();
  if (before !== links.map((link) => link.href).join()) saves.replaceChildren(...links);
}

/** What the line in the corner says of the labels in view. */
export function stateText(labels: Labels | null, layer: LabelLayer | null, tooLarge: boolean): string {
  if (labels === null || layer === null || labels.problem !== "" || !layer.visible) return "";
  if (layer.state === "exact") return layer.source === "truth" ? "True labels" : "Exact labels";
  if (labels.state === "ready" && labels.size !== null && tooLarge)
    return labels.filling ? `Labels fill in: ${Math.floor(100 * labels.known)} %` : "Zoom in, or label everything";
  if (labels.size === null || labels.state === "opening") return "Opening the image for the network …";
  if (labels.state === "reading") return `The network reads the whole image once: ${Math.round(100 * labels.read)} %`;
  if (layer.state === "preview") return "Preview (hatched) – the exact labels follow";
  return layer.state === "missing" ? "Computing the labels …" : "";
}
