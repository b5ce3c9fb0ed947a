// The list of opened files: loaded part by part, filtered by name.

import { listInputs, type InputName } from "./api";
import { element, made } from "./panels";

const PART = 200;

export class FileList {
  total = 0;
  private names: InputName[] = [];
  private shown: number | null = null;
  private wanted = 0;

  constructor(private readonly open: (id: number) => void) {
    element("filter").oninput = () => this.draw();
    element("more-files").onclick = () => void this.more();
  }

  async more(): Promise<void> {
    const found = await listInputs(this.names.length, PART);
    this.names.push(...found.inputs);
    this.total = found.total;
    this.draw();
  }

  /** Note which file is wanted, whether it can be shown or not; return its name. */
  want(id: number): string {
    this.wanted = id;
    return this.names.find((one) => one.id === id)?.name ?? "";
  }

  /** Mark the file that is shown. */
  mark(id: number): void {
    this.shown = id;
    if (id >= this.total) void this.more();
    this.draw();
    document.querySelector('#file-list [aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }

  /** Open the file so many places after the one that was wanted last. */
  step(by: number): void {
    const id = this.wanted + by;
    if (id < 0 || id >= this.total) return;
    if (id < this.names.length) this.open(id);
    else void this.more().then(() => this.open(id));
  }

  private draw(): void {
    const wanted = element<HTMLInputElement>("filter").value.toLowerCase();
    const rows = this.names
      .filter((one) => one.name.toLowerCase().includes(wanted))
      .map((one) => {
        const row = made("li", { title: one.name, tabIndex: 0, role: "option" }, one.name);
        row.ariaSelected = String(one.id === this.shown);
        row.onclick = () => this.open(one.id);
        row.onkeydown = (event) => {
          if (event.key === "Enter") this.open(one.id);
        };
        return row;
      });
    element("file-list").replaceChildren(...rows);
    element("file-count").textContent = String(this.total);
    element("filter").hidden = this.total < 8;
    element("more-files").hidden = this.names.length >= this.total;
  }
}
