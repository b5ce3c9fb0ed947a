// The marks over the image: the place that was clicked, and the scale bar.

import type { Plane } from "./api";
import { element, made } from "./panels";
import { scaleBar } from "./scale";
import type { Stage } from "./stage";

/** Draw the marker where the clicked place is now. */
export function drawMarker(stage: Stage): void {
  const spot = stage.marker;
  const place = spot === null ? null : stage.onScreen(spot);
  let marker = document.getElementById("marker");
  if (place === null) return void marker?.remove();
  if (marker === null) {
    marker = made("div", { id: "marker" });
    element("stage").append(marker);
  }
  marker.style.transform = `translate(${place.left + place.width / 2}px, ${place.top + place.height / 2}px)`;
}

/** Width and text of the scale bar of a plane. */
export function scaleOfPlane(stage: Stage, plane: Plane, unit: string | null): { width: number; text: string } {
  const across = plane.spacing === null ? null : plane.spacing[1] * (plane.grid[1] / plane.levels[0][1]);
  return scaleBar(stage.perPixel(), across, unit);
}

/** Draw the scale bar; null for none. */
export function showScale(bar: { width: number; text: string } | null): void {
  element("scale").hidden = bar === null || !Number.isFinite(bar.width);
  if (bar === null) return;
  element("scale-bar").style.width = `${bar.width}px`;
  element("scale-text").textContent = bar.text;
}
