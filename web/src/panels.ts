// The lists beside the image: channels with their contrast, and classes.

import type { Channel, Input, Run } from "./api";

export function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found as T;
}

export function made<K extends keyof HTMLElementTagNameMap>(
  name: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

/** The range of the sliders of a channel: that of its type, or somewhat more than its first window. */
function range(channel: Channel, dtype: string): [number, number] {
  if (dtype === "uint8") return [0, 255];
  const width = channel.high - channel.low;
  const low = dtype.startsWith("uint") ? Math.max(0, channel.low - width) : channel.low - width;
  return [low, channel.high + 2 * width];
}

/** Fill the list of channels; `changed` is called when one is shown otherwise. */
export function listChannels(input: Input, channels: Channel[], changed: () => void): void {
  const list = element("channel-list");
  list.replaceChildren(...channels.map((channel, n) => channelRow(input, channel, input.channels[n], changed)));
  element("reset-channels").onclick = () => {
    channels.forEach((channel, n) => Object.assign(channel, input.channels[n]));
    listChannels(input, channels, changed);
    changed();
  };
}

function channelRow(input: Input, channel: Channel, first: Channel, changed: () => void): HTMLLIElement {
  const title = channel.name || (input.channels.length === 1 ? "Values" : `Channel ${channel.number + 1}`);
  const shown = made("input", { type: "checkbox", checked: channel.shown, ariaLabel: `Show ${title}` });
  shown.onchange = () => {
    channel.shown = shown.checked;
    changed();
  };
  const color = made("input", { type: "color", value: `#${channel.color}`, ariaLabel: `Color of ${title}` });
  color.onchange = () => {
    channel.color = color.value.slice(1);
    changed();
  };
  const [least, most] = range(first, input.dtype);
  const step = input.dtype.startsWith("uint") ? 1 : (most - least) / 500;
  const ends = (["low", "high"] as const).map((end) => {
    const label = `${end === "low" ? "Black" : "Brightest"} value of ${title}`;
    const options = { min: String(least), max: String(most), step: String(step) };
    const slider = made("input", { type: "range", ...options, value: String(channel[end]), ariaLabel: label });
    const number = made("input", { type: "number", step: "any", value: String(channel[end]), ariaLabel: label });
    const take = (text: string, from: HTMLInputElement) => {
      const value = Number(text);
      if (text.trim() === "" || !Number.isFinite(value)) return;
      channel[end] = Number(value.toPrecision(6));
      for (const other of [slider, number]) if (other !== from) other.value = String(channel[end]);
      changed();
    };
    slider.oninput = () => take(slider.value, slider);
    number.onchange = () => take(number.value, number);
    return made("div", { className: "row" }, slider, number);
  });
  return made("li", {}, made("div", { className: "row" }, shown, color, made("span", { className: "grow" }, title)), ...ends);
}

/** Fill the list of classes; `changed` is called when one is shown or hidden. */
export function listClasses(run: Run, hidden: Set<number>, changed: () => void): void {
  const boxes = run.classes.map((one) => {
    const box = made("input", { type: "checkbox", checked: !hidden.has(one.number) });
    box.onchange = () => {
      if (box.checked) hidden.delete(one.number);
      else hidden.add(one.number);
      changed();
    };
    const swatch = made("span", { className: "swatch" });
    swatch.style.background = `#${one.color}`;
    return { box, row: made("li", {}, made("label", { className: "row" }, box, swatch, made("span", {}, one.name))) };
  });
  element("classes").replaceChildren(...boxes.map(({ row }) => row));
  const all = (on: boolean) => () => {
    run.classes.forEach((one, n) => {
      boxes[n].box.checked = on;
      if (on) hidden.delete(one.number);
      else hidden.add(one.number);
    });
    changed();
  };
  element("all-classes").onclick = all(true);
  element("no-classes").onclick = all(false);
}
