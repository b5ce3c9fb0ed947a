// The bar above the curves: which sequence is in view, and from where to where.

import type { Input } from "./api";
import { listSequences, type Sequence } from "./lineapi";
import { made } from "./panels";
import { parseJump, type Window } from "./window";

const LISTED = 200;

type Go = (where: Sequence | null, start: number, end: number) => Promise<void>;

export interface JumpBar {
  /** Return the sequence that is shown first. */
  start(sequence: number): Promise<Sequence>;
  /** Say what is in view; of another sequence, which. */
  tell(sequence: Sequence | null, window: Window): void;
}

function field(go: () => void, hint: string): HTMLInputElement {
  const input = made("input", { type: "text", id: "jump", placeholder: hint, title: hint, ariaLabel: `Go to ${hint}` });
  input.spellcheck = false;
  input.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key === "Enter") go();
  };
  input.onfocus = () => input.select();
  return input;
}

/** Of a recording: from when to when. */
export class SignalBar implements JumpBar {
  private readonly input: HTMLInputElement;
  private readonly spacing: number;

  constructor(bar: HTMLElement, input: Input, go: Go) {
    this.spacing = input.spacing?.[0] ?? 1;
    const unit = input.spacing === null ? "samples" : (input.unit ?? "");
    this.length = input.shape[1];
    this.input = field(
      () => {
        const jump = parseJump(this.input.value);
        this.input.classList.toggle("wrong", jump === null || !Number.isFinite(jump.start));
        if (jump === null || !Number.isFinite(jump.start)) return;
        this.input.blur();
        const [start, end] = [jump.start, jump.end ?? jump.start].map((value) => value / this.spacing);
        void go(null, jump.end === null ? start - 500 : start, jump.end === null ? end + 500 : end);
      },
      `start-end in ${unit}`,
    );
    bar.replaceChildren(this.input, made("span", { className: "note" }, unit));
  }

  private readonly length: number;

  start(): Promise<Sequence> {
    return Promise.resolve({ number: 0, name: "", length: this.length });
  }

  tell(_: Sequence | null, window: Window): void {
    const digits = Math.max(3, Math.ceil(Math.log10(window.total)) + 1);
    const text = (value: number) => String(Number((value * this.spacing).toPrecision(digits)));
    if (document.activeElement !== this.input) this.input.value = `${text(window.start)}-${text(window.end)}`;
  }
}

/** Of a genome: which sequence, from which base to which, counted from 1. */
export class GenomeBar implements JumpBar {
  private readonly choice = made("select", { ariaLabel: "Sequence", id: "sequence" });
  private readonly input: HTMLInputElement;
  private current: Sequence | null = null;
  private listed: Sequence[] = [];

  constructor(
    bar: HTMLElement,
    private readonly file: Input,
    private readonly go: Go,
  ) {
    this.input = field(() => void this.jump(), "sequence:start-end");
    this.choice.onchange = () => {
      const chosen = this.listed.find((one) => String(one.number) === this.choice.value);
      if (chosen !== undefined) void this.go(chosen, Number.NaN, Number.NaN);
    };
    bar.replaceChildren(this.choice, this.input);
  }

  async start(sequence: number): Promise<Sequence> {
    const { total, sequences } = await listSequences(this.file.id, 0, LISTED);
    this.listed = sequences;
    const first = sequence < LISTED ? sequences[sequence] : (await listSequences(this.file.id, sequence, 1)).sequences[0];
    if (first === undefined) throw new Error("this file has no such sequence");
    this.list(first);
    if (total > LISTED)
      this.choice.append(made("option", { disabled: true }, `… ${total - LISTED} more: write a name beside`));
    return first;
  }

  private list(chosen: Sequence): void {
    if (!this.listed.some((one) => one.number === chosen.number)) this.listed.unshift(chosen);
    const options = this.listed.map((one) =>
      made(
        "option",
        { value: String(one.number), selected: one.number === chosen.number },
        `${one.name} (${one.length.toLocaleString("en")})`,
      ),
    );
    const more = [...this.choice.options].filter((option) => option.disabled);
    this.choice.replaceChildren(...options, ...more);
  }

  private async jump(): Promise<void> {
    const jump = parseJump(this.input.value);
    let where: Sequence | null = null;
    if (jump !== null && jump.name !== "" && jump.name !== this.current?.name) {
      const { sequences } = await listSequences(this.file.id, 0, 1, jump.name);
      where = sequences[0] ?? null;
    }
    const unknown = jump === null || (jump.name !== "" && jump.name !== this.current?.name && where === null);
    this.input.classList.toggle("wrong", unknown);
    if (unknown || jump === null) return;
    this.input.blur();
    const [start, end] = jump.end === null ? [jump.start - 101, jump.start + 100] : [jump.start - 1, jump.end];
    await this.go(where, start, end);
  }

  tell(sequence: Sequence | null, window: Window): void {
    if (sequence !== null) {
      this.current = sequence;
      this.list(sequence);
    }
    const [from, to] = [Math.floor(window.start) + 1, Math.ceil(window.end)].map((value) => value.toLocaleString("en"));
    if (document.activeElement !== this.input) this.input.value = `${this.current?.name ?? ""}:${from}-${to}`;
  }
}
