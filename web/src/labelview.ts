// The labels of the plane that is shown: which are known, which are computed next, and what is said of them.

import { getLabels, postView, SILENT, type Input, type Labels, type Plane, type Run, type Source } from "./api";
import { showKnown, showProblem, stateText } from "./labelpanel";
import { LabelLayer, type Placement } from "./labels";
import { element } from "./panels";

export const POLL = 300;
/** Milliseconds until a server that did not answer is asked again. */
const SILENCE = 2000;

/** What labels need of the page. */
export interface LabelHost {
  /** What is shown in place of one plane, if anything is: it says itself what is known. */
  special(): { tell(): void } | null;
  /** Have everything drawn where the image is now. */
  moved(): void;
  complain(reason: string): void;
  report(error: unknown): void;
  /** The number of the sequence of a genome that is shown. */
  sequence(): number;
}

export class LabelView {
  source: Source = "labels";
  labels: Labels | null = null;
  /** Whether the server has refused the token: then it is asked no more. */
  stopped = false;
  private layer: LabelLayer | null = null;
  private input: Input | null = null;
  private plane: Plane | null = null;
  private index = 0;
  private polling = 0;
  private settling = 0;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private run: Run,
    private readonly hidden: ReadonlySet<number>,
    private readonly host: LabelHost,
  ) {}

  /** Show the labels of a plane from now on; of none, where an input is shown otherwise. */
  show(input: Input | null, plane: Plane | null, index: number): void {
    this.input = input;
    this.plane = plane;
    this.index = index;
    this.layer?.close();
    this.layer = null;
    this.labels = null;
    if (this.run.name === null || input === null || plane === null) return this.tell();
    const layer = new LabelLayer(
      this.canvas,
      this.run,
      this.hidden,
      input.tile,
      input.id,
      { axis: plane.axis, index },
      () => this.tell(),
      (reason) => this.host.complain(reason),
      this.source,
    );
    layer.visible = element<HTMLInputElement>("labels-on").checked;
    this.layer = layer;
    this.tell();
    this.poll(0);
  }

  /** Label with another network from now on; what is on the screen stays until its labels come. */
  adopt(run: Run): void {
    const first = this.run.name === null || this.layer === null;
    this.run = run;
    if (first) return this.show(this.input, this.plane, this.index);
    this.layer?.renew(run);
    this.labels = null;
    this.poll(0);
  }

  recolor(): void {
    this.layer?.recolor();
  }

  place(placement: Placement): void {
    this.layer?.place(placement);
  }

  switch(on: boolean): void {
    if (this.layer !== null) this.layer.visible = on;
  }

  /** Choose between the labels of the network and the true ones; `show` shows them. */
  choose(source: Source, input: Input | null): void {
    this.source = source;
    this.labels = null;
    element("which").hidden = input?.truth !== true || input.view !== "planes";
    for (const one of ["labels", "truth"]) element(`show-${one}`).ariaPressed = String(one === source);
  }

  poll(after: number): void {
    window.clearTimeout(this.polling);
    this.polling = window.setTimeout(() => void this.look(), after);
  }

  /** Ask how far the labels are, until all in view are exact and nothing is being computed. */
  private async look(): Promise<void> {
    const { input, layer } = this;
    if (input === null || layer === null || this.stopped) return;
    try {
      const opened = this.labels !== null && this.labels.size !== null;
      const labels = await getLabels(input.id, 0, layer.source);
      if (layer !== this.layer) return;
      this.know(labels, input);
      if (!opened && labels.size !== null) this.settled();
      const comes = layer.visible && !this.tooLarge() && (layer.state === "missing" || layer.state === "preview");
      const waits = labels.size === null || labels.filling || comes;
      if (labels.problem === "" && waits) this.poll(labels.filling || document.hidden ? 3 * POLL : POLL);
    } catch (error) {
      this.host.report(error);
      if (layer === this.layer) this.poll(SILENCE);
    }
  }

  /** Take over how far the labels of the shown input are. */
  know(labels: Labels, input: Input | null): void {
    this.labels = labels;
    if (element("message").textContent === SILENT) this.host.complain("");
    if (showProblem(labels, input) || input === null) return this.tell();
    this.layer?.update(labels);
    this.host.moved();
    showKnown(labels, input, this.source, this.host.sequence());
    this.tell();
  }

  /** Say whether the labels in view are exact. */
  tell(): void {
    const special = this.host.special();
    if (special !== null) special.tell();
    else say(stateText(this.labels, this.layer, this.tooLarge()), this.layer?.state ?? "");
  }

  /** Whether more is in view than is computed for a view alone. */
  private tooLarge(): boolean {
    const box = this.layer?.view() ?? null;
    return box !== null && (box.bottom - box.top) * (box.right - box.left) > 2 ** 24;
  }

  /** The image has stopped moving: have what is in view computed. */
  settled(): void {
    window.clearTimeout(this.settling);
    this.settling = window.setTimeout(() => {
      const { layer, input, plane, labels } = this;
      const box = layer?.visible === true ? layer.view() : null;
      if (layer === null || input === null || plane === null || box === null || labels?.size == null) return this.tell();
      this.tell();
      if (layer.state === "exact" || labels.problem !== "" || layer.source !== "labels") return;
      if (plane.count === 1 && !labels.whole && !this.tooLarge()) void layer.requestPreview();
      postView(input.id, { ...box, axis: plane.axis, index: this.index }).then(
        (found) => {
          if (layer !== this.layer) return;
          this.know(found, input);
          this.poll(POLL / 2);
        },
        (error: unknown) => {
          this.host.report(error);
          if (layer === this.layer && !this.stopped) window.setTimeout(() => this.settled(), SILENCE);
        },
      );
    }, 120);
  }
}

/** Say in the corner how far the labels in view are; "" for nothing. */
export function say(text: string, state: string): void {
  const status = element("status");
  status.hidden = text === "";
  status.textContent = text;
  status.dataset.state = state;
}
