// The curves of a training: loss of the batches and of held-out strokes, and share of held-out strokes that is right.

import { context } from "./labels";
import type { Training } from "./paint-api";
import { themeColor } from "./theme";

type Points = [number, number][];

/** Draw the curves into a canvas, in the colors of the theme. */
export function drawCurves(canvas: HTMLCanvasElement, training: Training): void {
  const density = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  const pen = context(canvas);
  pen.setTransform(density, 0, 0, density, 0, 0);
  pen.font = "11px system-ui, sans-serif";
  const [left, right, top, bottom] = [30, width - 30, 16, height - 16];
  const { loss, held_out_loss: heldOut, accuracy } = training;
  const losses = [...loss, ...heldOut].map(([, value]) => value);
  const last = Math.max(1, ...[...loss, ...accuracy].map(([seconds]) => seconds));
  const most = Math.max(0.1, ...losses);
  const x = (seconds: number) => left + ((right - left) * seconds) / last;
  const y = (part: number) => bottom - (bottom - top) * Math.min(1, Math.max(0, part));

  pen.strokeStyle = themeColor("--line");
  pen.fillStyle = themeColor("--faint");
  pen.lineWidth = 1;
  pen.textBaseline = "middle";
  for (const part of [0, 0.5, 1]) {
    pen.beginPath();
    pen.moveTo(left, y(part));
    pen.lineTo(right, y(part));
    pen.stroke();
    pen.textAlign = "right";
    pen.fillText((part * most).toFixed(most < 1 ? 2 : 1), left - 4, y(part));
    pen.textAlign = "left";
    pen.fillText(String(part), right + 4, y(part));
  }
  pen.textAlign = "right";
  pen.fillText(last < 120 ? `${Math.round(last)} s` : `${(last / 60).toFixed(1)} min`, right, height - 6);

  const line = (points: Points, color: string, dash: number[], scale: number) => {
    pen.strokeStyle = color;
    pen.setLineDash(dash);
    pen.lineWidth = 1.8;
    pen.beginPath();
    points.forEach(([seconds, value], n) => {
      if (n === 0) pen.moveTo(x(seconds), y(value / scale));
      else pen.lineTo(x(seconds), y(value / scale));
    });
    pen.stroke();
    pen.setLineDash([]);
  };
  const [accent, faint, warn] = ["--accent", "--faint", "--warn"].map(themeColor);
  line(loss, faint, [], most);
  line(heldOut, warn, [4, 3], most);
  line(accuracy, accent, [], 1);

  pen.textAlign = "left";
  let at = left;
  const [second, third] = training.samples.held_out ? ["held-out loss", "held-out right"] : ["loss of strokes", "strokes right"];
  for (const [name, color] of [["loss", faint], [second, warn], [third, accent]] as const) {
    pen.fillStyle = color;
    pen.fillText(name, at, 7);
    at += pen.measureText(name).width + 12;
  }
}
