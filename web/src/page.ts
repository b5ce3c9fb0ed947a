// The page: which file is open, what is shown of it, and the keys.

import {
  getInput, postFill, Refused,
  type Channel, type Input, type Labels, type Plane, type Run, type Source,
} from "./api";
import { addEvaluation } from "./evaluation";
import { FileList } from "./filelist";
import { LabelView, POLL, say } from "./labelview";
import { ObjectEditing } from "./objects";
import { Painting } from "./paint";
import { offerPainting } from "./paint-begin";
import { drawMarker, scaleOfPlane, showScale } from "./marks";
import { element, listChannels, listClasses } from "./panels";
import { ThreePlanes } from "./planes";
import { Readout } from "./readout";
import { LineView } from "./signal";
import { listPlanes, showSlice, watchOverview } from "./slices";
import { Stage, type Spot } from "./stage";
import { toggleTheme } from "./theme";

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
  private readonly labels: LabelView;
  private opening: AbortController | null = null;
  private redraw = 0;
  private painting: Painting | null = null;
  private objects: ObjectEditing | null = null;
  private wantsThree = false;

  constructor(private run: Run) {
    this.readout = new Readout(run);
    this.stage = new Stage(
      element("viewer"),
      () => this.moved(),
      () => this.settled(),
      (spot) => this.clicked(spot),
      (reason) => this.complain(reason),
    );
    this.labels = new LabelView(this.stage.canvas, run, this.hidden, {
      special: () => this.special,
      moved: () => this.moved(),
      complain: (reason) => this.complain(reason),
      report: (error) => this.report(error),
      sequence: () => this.lines.sequence,
    });
    const hooks = {
      know: (labels: Labels) => this.labels.know(labels, this.input),
      say,
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
    }, this.run);
    return this.painting !== null;
  }

  private async open(id: number, sequence = 0): Promise<void> {
    this.opening?.abort();
    const mine = new AbortController();
    this.opening = mine;
    this.complain("");
    element("title").textContent = this.files.want(id);
    try {
      const input = await getInput(id, mine.signal);
      this.input = input;
      element("title").textContent = input.name;
      this.files.mark(id);
      document.title = `${input.name} – atrous`;
      this.lines.close();
      this.three.close();
      this.labels.choose("labels", input);
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
      watchOverview(mine.signal, () => this.placeNow(), (reason) => this.complain(reason));
    } catch (error) {
      if (this.opening === mine) element("title").textContent = this.input?.name ?? "";
      this.report(error);
    }
  }

  // -------------------------------------------------------------------------------------------------- planes

  private usePlanes(input: Input): void {
    listPlanes(input, {
      choose: (plane) => {
        this.wantsThree = false;
        this.choosePlane(plane, this.three.active ? this.three.position[plane.axis] : Math.floor((plane.count - 1) / 2), false);
      },
      three: () => this.showThree(this.position()),
      slide: (index) => this.plane && this.choosePlane(this.plane, index, true),
    });
  }

  private placeNow(): { id: number; axis: number; index: number } | null {
    const { input, plane, index } = this;
    return input === null || plane === null ? null : { id: input.id, axis: plane.axis, index };
  }

  /** The place in a volume that is looked at: the marker, or the middle of the slice. */
  private position(): number[] | null {
    const { input, plane } = this;
    if (input === null || plane === null) return null;
    const { marker } = this.stage;
    const place = marker === null ? plane.grid.map((length) => Math.floor((length - 1) / 2)) : [marker.row, marker.column];
    place.splice(plane.axis, 0, this.index);
    return place;
  }

  private showThree(position: number[] | null): void {
    if (this.input === null || this.input.planes.length !== 3) return;
    this.wantsThree = true;
    this.plane = null;
    this.stage.marker = null;
    document.getElementById("marker")?.remove();
    this.hideEditors(true);
    element("viewer").classList.add("special");
    showSlice(null, 0);
    this.three.open(this.input, this.channels, position, this.labels.source);
    this.useLayer();
    this.drawScale();
    element("stage").dataset.input = String(this.input.id);
  }

  private choosePlane(plane: Plane, index: number, keep: boolean): void {
    if (this.input === null) return;
    this.three.close();
    element("viewer").classList.remove("special");
    this.plane = plane;
    this.index = Math.max(0, Math.min(plane.count - 1, index));
    showSlice(plane, this.index);
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

  // -------------------------------------------------------------------------------------------------- labels

  private useLabels(): void {
    listClasses(this.run, this.hidden, () => {
      this.labels.recolor();
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
      const { input, labels: { labels } } = this;
      if (input === null || labels === null) return;
      void postFill(input.id, !labels.filling, this.lines.active ? this.lines.sequence : 0).then(
        (found) => {
          if (this.input !== input) return;
          this.labels.know(found, input);
          if (this.lines.active) this.lines.take(found);
          void this.lines.look();
          this.labels.poll(POLL);
        },
        (error: unknown) => this.report(error),
      );
    };
  }

  /** Label with another network from now on: that of a training in progress. */
  private adopt(run: Run): void {
    this.run = run;
    this.readout = new Readout(run);
    element("labels").hidden = run.name === null;
    element("run-name").textContent = run.name ?? "";
    if (run.name === null) return;
    this.useLabels();
    for (const view of [this.lines, this.three, this.labels]) view.adopt(run);
  }

  /** Show the labels of the network, or the true ones of a sample of the evaluation. */
  private chooseSource(source: Source): void {
    if (this.input?.truth !== true || this.lines.active) return;
    const position = this.three.active ? this.three.position : null;
    this.labels.choose(source, this.input);
    if (position !== null) this.showThree(position);
    else this.useLayer();
    this.moved();
  }

  private showLabels(on: boolean): void {
    element<HTMLInputElement>("labels-on").checked = on;
    this.lines.showLabels(on);
    this.three.showLabels(on);
    this.labels.switch(on);
    this.moved();
    this.settled();
  }

  private useLayer(): void {
    this.labels.show(this.input, this.plane, this.index);
  }

  // -------------------------------------------------------------------------------------------------- the view

  private moved(): void {
    const placement = this.stage.placement();
    if (placement !== null) {
      this.labels.place(placement);
      this.painting?.place(placement);
      this.objects?.place(placement);
    }
    drawMarker(this.stage);
    this.drawScale();
  }

  private settled(): void {
    if (this.stage.placement() !== null) element("stage").dataset.input = String(this.input?.id);
    this.labels.settled();
  }

  private drawScale(): void {
    if (this.lines.active) showScale(this.lines.scale());
    else showScale(this.plane === null ? null : scaleOfPlane(this.stage, this.plane, this.input?.unit ?? null));
  }

  private clicked(spot: Spot): void {
    if (this.input === null || this.plane === null) return;
    this.stage.marker = spot;
    drawMarker(this.stage);
    this.read(this.plane, this.index, spot);
  }

  /** Say what is at a place of a plane. */
  private read(plane: Plane, index: number, spot: Spot): void {
    if (this.input === null) return;
    element<HTMLDetailsElement>("position").open = true;
    const labeled = this.run.name !== null && this.labels.source === "labels";
    void this.readout.show(this.input, plane, index, spot, labeled ? this.labels.labels : null);
  }

  /** Say what went wrong; "" for nothing. */
  private complain(reason: string): void {
    element("message").textContent = reason;
    element("message").hidden = reason === "";
  }

  private report(error: unknown): void {
    if (error instanceof DOMException && error.name === "AbortError") return;
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) this.labels.stopped = true;
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
      if (!document.hidden) this.labels.poll(0);
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
      n: () => this.files.step(1),
      p: () => this.files.step(-1),
      ",": () => this.plane && this.choosePlane(this.plane, this.index - 1, true),
      ".": () => this.plane && this.choosePlane(this.plane, this.index + 1, true),
      v: () => this.toggleThree(),
      t: () => this.chooseSource(this.labels.source === "labels" ? "truth" : "labels"),
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
