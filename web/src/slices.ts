// The controls of the planes of a volume or a video: across which axis, which slice, or three at once.

import { getProgress, type Input, type Plane } from "./api";
import { element, made } from "./panels";

export interface SliceActions {
  choose(plane: Plane): void;
  three(): void;
  slide(index: number): void;
}

/** List the axes across which an input can be cut. */
export function listPlanes(input: Input, actions: SliceActions): void {
  element("slices").hidden = input.planes[0].count === 1;
  const letters = input.axes ?? "ZYX";
  const buttons = input.planes.map((plane) => {
    const button = made("button", { type: "button", className: "small", role: "radio" }, letters[plane.axis] ?? "");
    button.title = `Planes across axis ${letters[plane.axis]}`;
    button.dataset.axis = String(plane.axis);
    button.onclick = () => actions.choose(plane);
    return button;
  });
  const all = made("button", { type: "button", className: "small", role: "radio", id: "three" }, "3");
  all.title = "Three planes at once (V)";
  all.onclick = () => actions.three();
  element("axes").replaceChildren(...(input.planes.length > 1 ? buttons : []), ...(input.planes.length === 3 ? [all] : []));
  element<HTMLInputElement>("slice").oninput = (event) => actions.slide(Number((event.target as HTMLInputElement).value));
}

/** Show which slice of a plane is on the screen; null for three planes at once. */
export function showSlice(plane: Plane | null, index: number): void {
  element("slices").classList.toggle("three", plane === null);
  for (const button of element("axes").children)
    button.ariaChecked = String(
      plane === null ? button.id === "three" : (button as HTMLElement).dataset.axis === String(plane.axis),
    );
  if (plane === null) return;
  const slider = element<HTMLInputElement>("slice");
  slider.max = String(plane.count - 1);
  slider.value = String(index);
  element("slice-text").textContent = `${index + 1} / ${plane.count}`;
}

const READING = "Reading the file";

/** Say how far a large file was read for its overview, while that takes time; `place` is the plane that is shown. */
export function watchOverview(
  signal: AbortSignal,
  place: () => { id: number; axis: number; index: number } | null,
  complain: (reason: string) => void,
): void {
  const look = async (): Promise<void> => {
    const shown = signal.aborted ? null : place();
    if (shown === null) return;
    const share = await getProgress(shown.id, shown.axis, shown.index).catch(() => 1);
    if (signal.aborted) return;
    if (share < 1) complain(`${READING} once for the overview: ${Math.round(100 * share)} %`);
    else if (element("message").textContent?.startsWith(READING)) complain("");
    if (share < 1) window.setTimeout(() => void look(), 700);
  };
  window.setTimeout(() => void look(), 700);
}
