// The training on strokes: started and stopped, watched while it runs, saved as a run.

import { getRun, type Run } from "./api";
import { getTraining, postSave, postTraining, type Training } from "./paint-api";
import { drawCurves } from "./paint-curves";
import type { PaintPanel } from "./paint-panel";

const POLL = 1000;

export class LiveTraining {
  private training: Training | null = null;
  private polling = 0;

  constructor(
    private readonly panel: PaintPanel,
    /** Of the network that the page shows. */
    private version: number,
    private readonly adopt: (run: Run) => void,
    private readonly report: (error: unknown) => void,
  ) {}

  /** Start it, or stop it if it runs. */
  async toggle(): Promise<void> {
    try {
      const runs = this.training !== null && this.training.state !== "off";
      this.hear(await postTraining(!runs));
      this.poll();
    } catch (error) {
      this.report(error);
    }
  }

  private poll(): void {
    window.clearTimeout(this.polling);
    this.polling = window.setTimeout(() => void this.watch(), POLL);
  }

  /** Ask how far the training is, as long as there is one. */
  async watch(): Promise<void> {
    try {
      const training = await getTraining();
      this.hear(training);
      if (training.version !== this.version) {
        const run = await getRun();
        this.version = run.version;
        this.adopt(run);
      }
      if (training.state !== "off") this.poll();
    } catch (error) {
      this.report(error);
      this.poll();
    }
  }

  private hear(training: Training): void {
    this.training = training;
    const { panel } = this;
    const trained = training.accuracy.length > 0 || training.version > 0;
    panel.train.textContent = training.state === "off" ? "Train" : "Stop";
    panel.train.disabled = training.state === "stopping";
    panel.train.classList.toggle("running", training.state !== "off");
    panel.problem.textContent = training.problem;
    panel.problem.hidden = training.problem === "";
    panel.where.disabled = !trained;
    panel.saving.hidden = !trained;
    panel.curves.hidden = training.loss.length === 0;
    panel.state.textContent = stateOf(training);
    this.draw();
  }

  /** Draw the curves anew, after their box or their colors have changed. */
  draw(): void {
    if (this.training !== null && !this.panel.curves.hidden) drawCurves(this.panel.curves, this.training);
  }

  async save(name: string): Promise<void> {
    try {
      const { folder } = await postSave(name);
      this.panel.saved.textContent = `Saved: ${folder}`;
    } catch (error) {
      this.report(error);
    }
  }
}

/** What the line below the buttons says. */
function stateOf(training: Training): string {
  const words = {
    off: training.step > 0 ? "Stopped" : "",
    starting: "Starting …",
    training: "Training",
    stopping: "Stopping …",
  }[training.state];
  const parts = [words, training.step > 0 ? `step ${training.step}, ${Math.round(training.seconds)} s` : ""];
  const last = training.accuracy.at(-1);
  if (last !== undefined && (training.samples.held_out ?? 0) > 0) parts.push(`${Math.round(100 * last[1])} % of held-out strokes right`);
  return parts.filter((part) => part !== "").join(" · ");
}
