// The page: which file is open, what is shown of it, and the keys.

import {
  getInput, getLabels, getProgress, postFill, postView, Refused, SILENT,
  type Channel, type Input, type Labels, type Plane, type Run, type Source,
} from "./api";
import { addEvaluation } from "./evaluation";
import { FileList } from "./filelist";
import { showKnown, showProblem, stateText } from "./labelpanel";
import { LabelLayer } from "./labels";
import { ObjectEditing } from "./objects";
import { Painting } from "./paint";
import { offerPainting } from "./paint-begin";
import { element, listChannels, listClasses, made } from "./panels";
import { ThreePlanes } from "./planes";
import { Readout } from "./readout";
import { scaleBar } from "./scale";
import { LineView } from "./signal";
import { Stage, type Spot } from "./stage";
import { toggleTheme } from "./theme";

const POLL = 300;
/** Milliseconds until a server that did not answer is asked again. */
const SILENCE = 2000;

export class Page {
  private readonly stage: Stage;
  private readonly lines: LineView;
  private readonly three: ThreePlanes;
  private readout: Readout;
  private readonly files = new FileList((id) => void this.open(id));
  private input: Input | null = null;
  private plane: Plane | null = null;
  private index = 0;
  private channels: Channel[] = [];
  private readonly hidden = new Set<number>();
  private layer: LabelLayer | null = null;
  private labels: Labels | null = null;
  private opening: AbortController | null = null;
  private redraw = 0;
  private polling = 0;
  private settling = 0;
  private stopped = false;
  private painting: Painting | null = null;
  private objects: ObjectEditing | null = null;
  private wantsThree = false;
  private source: Source = "labels";

  constructor(private run: Run) {
    this.readout = new Readout(run);
    this.stage = new Stage(
      element("viewer"),
      () => this.moved(),
      () => this.settled(),
      (spot) => this.clicked(spot),
      (reason) => this.complain(reason),
    );
    const hooks = {
      know: (labels: Labels) => this.know(labels),
      say: (text: string, state: string) => this.say(text, state),
      report: (error: unknown) => this.report(error),
      complain: (reason: string) => this.complain(reason),
      settled: () => this.drawScale(),
      clicked: (plane: Plane, index: number, spot: Spot) => this.read(plane, index, spot),
    };
    this.lines = new LineView(element("viewer"), run, this.hidden, hooks);
    this.three = new ThreePlanes(element("viewer"), run, this.hidden, hooks);
    if (/^(background|void|unlabell?ed)$/i.test(run.classes[0]?.name ?? "")) this.hidden.add(0);
    element("labels").hidden = run.name === null;
    element("run-name").textContent = run.name ?? "";
    if (run.name !== null) this.useLabels();
    if (run.name !== null) addEvaluation((id, sequence) => void this.open(id, sequence), (error) => this.report(error));
    this.useTools();
  }

  /** What is shown in place of one plane, if anything is. */
  private get special(): LineView | ThreePlanes | null {
    return this.lines.active ? this.lines : this.three.active ? this.three : null;
  }

  // -------------------------------------------------------------------------------------------------- files

  async start(): Promise<void> {
    const complain = (reason: string) => this.complain(reason);
    this.objects = await ObjectEditing.open({ complain, below: () => this.stage.surface });
    if (!(await this.startPainting()) && this.objects === null)
      await offerPainting(async () => {
        await this.startPainting();
        if (this.input !== null && this.plane !== null) this.painting?.show(this.input, this.plane, this.index);
        else this.painting?.hide(true);
        this.moved();
      }, complain);
    await this.files.more();
    const wanted = Number(new URLSearchParams(location.search).get("input") ?? 0);
    const known = Number.isInteger(wanted) && wanted >= 0 && wanted < this.files.total;
    if (this.files.total > 0) await this.open(known ? wanted : 0);
  }

  private async startPainting(): Promise<boolean> {
    this.painting = await Painting.open({
      complain: (reason) => this.complain(reason),
      adopt: (run) => this.adopt(run),
      goTo: (spot) => this.stage.goTo(spot),
      below: () => this.stage.surface,
    });
    return this.painting !== null;
  }

  private async open(id: number, sequence = 0): Promise<void> {
    this.opening?.abort();
    const mine = new AbortController();
    this.opening = mine;
    this.complain("");
    element("title").textContent = this.files.nameOf(id);
    try {
      const input = await getInput(id, mine.signal);
      this.input = input;
      element("title").textContent = input.name;
      this.files.mark(id);
      document.title = `${input.name} – atrous`;
      this.lines.close();
      this.three.close();
      this.labels = null;
      this.setSource("labels");
      element("viewer").classList.toggle("special", input.view !== "planes");
      if (input.view !== "planes") {
        this.plane = null;
        this.stage.marker = null;
        this.useLayer();
        this.hideEditors(true);
        element("slices").hidden = true;
        document.getElementById("marker")?.remove();
        await this.lines.open(input, sequence);
        if (this.input === input) element("stage").dataset.input = String(id);
        this.drawScale();
        return;
      }
      this.channels = input.channels.map((one) => ({ ...one }));
      element("channels").hidden = false;
      listChannels(input, this.channels, () => this.shownOtherwise());
      this.usePlanes(input);
      if (this.wantsThree && input.planes.length === 3) this.showThree(null);
      else this.choosePlane(input.planes[0], Math.floor((input.planes[0].count - 1) / 2), false);
      this.watchProgress(mine);
    } catch (error) {
      this.report(error);
    }
  }

  private next(step: number): void {
    if (this.input !== null) this.files.step(this.input.id, step);
  }

  // -------------------------------------------------------------------------------------------------- planes

  private usePlanes(input: Input): void {
    element("slices").hidden = input.planes[0].count === 1;
    const letters = input.axes ?? "ZYX";
    const buttons = input.planes.map((plane) => {
      const button = made("button", { type: "button", className: "small", role: "radio" }, letters[plane.axis] ?? "");
      button.title = `Planes across axis ${letters[plane.axis]}`;
      button.dataset.axis = String(plane.axis);
      button.onclick = () => {
        this.wantsThree = false;
        this.choosePlane(plane, this.three.active ? this.three.position[plane.axis] : Math.floor((plane.count - 1) / 2), false);
      };
      return button;
    });
    const all = made("button", { type: "button", className: "small", role: "radio", id: "three" }, "3");
    all.title = "Three planes at once (V)";
    all.onclick = () => this.showThree(this.position());
    element("axes").replaceChildren(...(input.planes.length > 1 ? buttons : []), ...(input.planes.length === 3 ? [all] : []));
    element<HTMLInputElement>("slice").oninput = (event) => {
      if (this.plane !== null) this.choosePlane(this.plane, Number((event.target as HTMLInputElement).value), true);
    };
  }

  /** The place in a volume that is looked at: the marker, or the middle of the slice. */
  private position(): number[] | null {
    const { input, plane } = this;
    if (input === null || plane === null) return null;
    const [row, column] = this.stage.marker === null
      ? plane.grid.map((length) => Math.floor((length - 1) / 2))
      : [this.stage.marker.row, this.stage.marker.column];
    const place = [row, column];
    place.splice(plane.axis, 0, this.index);
    return place;
  }

  private showThree(position: number[] | null): void {
    if (this.input === null || this.input.planes.length !== 3) return;
    this.wantsThree = true;
    this.plane = null;
    this.labels = null;
    this.stage.marker = null;
    document.getElementById("marker")?.remove();
    this.hideEditors(true);
    element("viewer").classList.add("special");
    element("slices").classList.add("three");
    for (const button of element("axes").children) button.ariaChecked = String(button.id === "three");
    this.three.open(this.input, this.channels, position, this.source);
    this.useLayer();
    this.drawScale();
    element("stage").dataset.input = String(this.input.id);
  }

  private choosePlane(plane: Plane, index: number, keep: boolean): void {
    if (this.input === null) return;
    this.three.close();
    element("viewer").classList.remove("special");
    element("slices").classList.remove("three");
    this.plane = plane;
    this.index = Math.max(0, Math.min(plane.count - 1, index));
    const slider = element<HTMLInputElement>("slice");
    slider.max = String(plane.count - 1);
    slider.value = String(this.index);
    element("slice-text").textContent = `${this.index + 1} / ${plane.count}`;
    for (const button of element("axes").children)
      button.ariaChecked = String((button as HTMLElement).dataset.axis === String(plane.axis));
    this.stage.marker = null;
    this.readout.clear();
    this.stage.show(this.input, plane, this.index, this.channels, keep);
    this.useLayer();
    this.hideEditors(false);
    this.painting?.show(this.input, plane, this.index);
    this.objects?.show(this.input, plane);
  }

  private hideEditors(hidden: boolean): void {
    this.painting?.hide(hidden);
    this.objects?.hide(hidden);
  }

  private shownOtherwise(): void {
    window.clearTimeout(this.redraw);
    this.redraw = window.setTimeout(() => {
      this.three.redraw();
      if (this.input !== null && this.plane !== null)
        this.stage.show(this.input, this.plane, this.index, this.channels, true);
    }, 150);
  }

  /** Say how far a large file was read for its overview, while that takes time. */
  private watchProgress(mine: AbortController): void {
    const look = async (): Promise<void> => {
      if (mine.signal.aborted || this.input === null || this.plane === null) return;
      const share = await getProgress(this.input.id, this.plane.axis, this.index).catch(() => 1);
      if (mine.signal.aborted) return;
      if (share < 1) this.complain(`Reading the file once for the overview: ${Math.round(100 * share)} %`);
      else if (element("message").textContent?.startsWith("Reading the file")) this.complain("");
      if (share < 1) window.setTimeout(() => void look(), 700);
    };
    window.setTimeout(() => void look(), 700);
  }

  // -------------------------------------------------------------------------------------------------- labels

  private useLabels(): void {
    listClasses(this.run, this.hidden, () => {
      this.layer?.recolor();
      this.special?.recolor();
    });
    const on = element<HTMLInputElement>("labels-on");
    on.onchange = () => this.showLabels(on.checked);
    const opacity = element<HTMLInputElement>("opacity");
    opacity.oninput = () => {
      this.stage.canvas.style.opacity = String(Number(opacity.value) / 100);
      this.three.fade(Number(opacity.value) / 100);
    };
    opacity.oninput(new Event("input"));
    for (const source of ["labels", "truth"] as const) element(`show-${source}`).onclick = () => this.chooseSource(source);
    element("fill").onclick = () => {
      if (this.input === null || this.labels === null) return;
      void postFill(this.input.id, !this.labels.filling, this.lines.active ? this.lines.sequence : 0).then(
        (labels) => {
          this.know(labels);
          if (this.lines.active) this.lines.take(labels);
          void this.lines.look();
          this.poll(POLL);
        },
        (error: unknown) => this.report(error),
      );
    };
  }

  /** Label with another network from now on: that of a training in progress. */
  private adopt(run: Run): void {
    const first = this.run.name === null;
    this.run = run;
    this.readout = new Readout(run);
    element("labels").hidden = run.name === null;
    element("run-name").textContent = run.name ?? "";
    if (run.name === null) return;
    this.useLabels();
    this.lines.adopt(run);
    this.three.adopt(run);
    if (first || this.layer === null) return this.useLayer();
    this.layer.renew(run);
    this.labels = null;
    this.poll(0);
  }

  /** Show the labels of the network, or the true ones of a sample of the evaluation. */
  private chooseSource(source: Source): void {
    if (this.input?.truth !== true || this.lines.active) return;
    const position = this.three.active ? this.three.position : null;
    this.setSource(source);
    this.labels = null;
    if (position !== null) this.showThree(position);
    else this.useLayer();
    this.moved();
  }

  private setSource(source: Source): void {
    this.source = source;
    element("which").hidden = this.input?.truth !== true || this.input.view !== "planes";
    for (const one of ["labels", "truth"]) element(`show-${one}`).ariaPressed = String(one === source);
  }

  private showLabels(on: boolean): void {
    element<HTMLInputElement>("labels-on").checked = on;
    this.lines.showLabels(on);
    this.three.showLabels(on);
    if (this.layer !== null) this.layer.visible = on;
    this.moved();
    this.settled();
  }

  private useLayer(): void {
    this.layer?.close();
    this.layer = null;
    this.labels = null;
    if (this.run.name === null || this.input === null || this.plane === null) return this.tell();
    const layer = new LabelLayer(
      this.stage.canvas,
      this.run,
      this.hidden,
      this.input.tile,
      this.input.id,
      { axis: this.plane.axis, index: this.index },
      () => this.tell(),
      (reason) => this.complain(reason),
      this.source,
    );
    layer.visible = element<HTMLInputElement>("labels-on").checked;
    this.layer = layer;
    this.tell();
    this.poll(0);
  }

  private poll(after: number): void {
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
      this.know(labels);
      if (!opened && labels.size !== null) this.settled();
      const comes = layer.visible && !this.tooLarge() && (layer.state === "missing" || layer.state === "preview");
      const waits = labels.size === null || labels.filling || comes;
      if (labels.problem === "" && waits) this.poll(labels.filling || document.hidden ? 3 * POLL : POLL);
    } catch (error) {
      this.report(error);
      if (layer === this.layer) this.poll(SILENCE);
    }
  }

  private know(labels: Labels): void {
    this.labels = labels;
    if (element("message").textContent === SILENT) this.complain("");
    if (showProblem(labels, this.input) || this.input === null) return this.tell();
    this.layer?.update(labels);
    this.moved();
    showKnown(labels, this.input, this.source, this.lines.sequence);
    this.tell();
  }

  /** Say in the corner how far the labels in view are; "" for nothing. */
  private say(text: string, state: string): void {
    const status = element("status");
    status.hidden = text === "";
    status.textContent = text;
    status.dataset.state = state;
  }

  /** Say whether the labels in view are exact. */
  private tell(): void {
    if (this.special !== null) return this.special.tell();
    this.say(stateText(this.labels, this.layer, this.tooLarge()), this.layer?.state ?? "");
  }

  /** Whether more is in view than is computed for a view alone. */
  private tooLarge(): boolean {
    const box = this.layer?.view() ?? null;
    return box !== null && (box.bottom - box.top) * (box.right - box.left) > 2 ** 24;
  }

  // -------------------------------------------------------------------------------------------------- the view

  private moved(): void {
    const placement = this.stage.placement();
    if (placement !== null) {
      this.layer?.place(placement);
      this.painting?.place(placement);
      this.objects?.place(placement);
    }
    this.drawMarker();
    this.drawScale();
  }

  private settled(): void {
    if (this.stage.placement() !== null) element("stage").dataset.input = String(this.input?.id);
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
          this.know(found);
          this.poll(POLL / 2);
        },
        (error: unknown) => {
          this.report(error);
          if (layer === this.layer && !this.stopped) window.setTimeout(() => this.settled(), SILENCE);
        },
      );
    }, 120);
  }

  private drawMarker(): void {
    const spot = this.stage.marker;
    const place = spot === null ? null : this.stage.onScreen(spot);
    let marker = document.getElementById("marker");
    if (place === null) return void marker?.remove();
    if (marker === null) {
      marker = made("div", { id: "marker" });
      element("stage").append(marker);
    }
    marker.style.transform = `translate(${place.left + place.width / 2}px, ${place.top + place.height / 2}px)`;
  }

  private drawScale(): void {
    const { plane } = this;
    let bar: { width: number; text: string } | null = null;
    if (this.lines.active) bar = this.lines.scale();
    else if (plane !== null && this.input !== null) {
      const across = plane.spacing === null ? null : plane.spacing[1] * (plane.grid[1] / plane.levels[0][1]);
      bar = scaleBar(this.stage.perPixel(), across, this.input.unit);
    }
    element("scale").hidden = bar === null || !Number.isFinite(bar.width);
    if (bar === null) return;
    const { width, text } = bar;
    element("scale-bar").style.width = `${width}px`;
    element("scale-text").textContent = text;
  }

  private clicked(spot: Spot): void {
    if (this.input === null || this.plane === null) return;
    this.stage.marker = spot;
    this.drawMarker();
    this.read(this.plane, this.index, spot);
  }

  /** Say what is at a place of a plane. */
  private read(plane: Plane, index: number, spot: Spot): void {
    if (this.input === null) return;
    element<HTMLDetailsElement>("position").open = true;
    const labeled = this.run.name !== null && this.source === "labels";
    void this.readout.show(this.input, plane, index, spot, labeled ? this.labels : null);
  }

  /** Say what went wrong; "" for nothing. */
  private complain(reason: string): void {
    element("message").textContent = reason;
    element("message").hidden = reason === "";
  }

  private report(error: unknown): void {
    if (error instanceof DOMException && error.name === "AbortError") return;
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) this.stopped = true;
    this.complain(error.message);
  }

  // -------------------------------------------------------------------------------------------------- tools

  private useTools(): void {
    element("zoom-in").onclick = () => this.moving.zoomBy(1.5);
    element("zoom-out").onclick = () => this.moving.zoomBy(1 / 1.5);
    element("fit").onclick = () => this.moving.fit();
    element("one").onclick = () => this.moving.oneToOne(this.stage.marker ?? undefined);
    element("theme").onclick = toggleTheme;
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.poll(0);
    });
  }

  /** What is moved and zoomed. */
  private get moving(): LineView | ThreePlanes | Stage {
    return this.special ?? this.stage;
  }

  private key(event: KeyboardEvent): void {
    const at = event.target as HTMLElement;
    const types = /^(text|search|number|range|color)$/;
    const editor = this.painting ?? this.objects;
    if (this.special === null && editor?.key(event) === true) return event.preventDefault();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (at instanceof HTMLInputElement && types.test(at.type)) return;
    const pressed = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (this.three.active && this.three.key(pressed)) return event.preventDefault();
    const keys: Record<string, () => void> = {
      ArrowLeft: () => this.moving.moveBy(-0.2, 0),
      ArrowRight: () => this.moving.moveBy(0.2, 0),
      ArrowUp: () => this.moving.moveBy(0, -0.2),
      ArrowDown: () => this.moving.moveBy(0, 0.2),
      "+": () => this.moving.zoomBy(1.5),
      "=": () => this.moving.zoomBy(1.5),
      "-": () => this.moving.zoomBy(1 / 1.5),
      "0": () => this.moving.fit(),
      "1": () => this.moving.oneToOne(this.stage.marker ?? undefined),
      n: () => this.next(1),
      p: () => this.next(-1),
      ",": () => this.plane && this.choosePlane(this.plane, this.index - 1, true),
      ".": () => this.plane && this.choosePlane(this.plane, this.index + 1, true),
      v: () => this.toggleThree(),
      t: () => this.chooseSource(this.source === "labels" ? "truth" : "labels"),
      PageUp: () => this.plane && this.choosePlane(this.plane, this.index - 10, true),
      PageDown: () => this.plane && this.choosePlane(this.plane, this.index + 10, true),
      l: () => this.run.name !== null && this.showLabels(!element<HTMLInputElement>("labels-on").checked),
    };
    const action = keys[pressed];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }

  private toggleThree(): void {
    if (!this.three.active) return this.showThree(this.position());
    this.wantsThree = false;
    const plane = this.input?.planes[0];
    if (plane !== undefined) this.choosePlane(plane, this.three.position[0], false);
  }
}
