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
    channels.forEach((channel, n) => Object.assign(channel, { gamma: 1 }, input.channels[n]));
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
    const ends = input.view === "planes" ? ["Black", "Brightest"] : ["Lowest", "Highest"];
    const label = `${ends[end === "low" ? 0 : 1]} value of ${title}`;
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
  const row = made("div", { className: "row" }, shown, color, made("span", { className: "grow" }, title));
  return made("li", {}, row, ...ends, ...(input.view === "planes" ? [gammaRow(channel, title, changed)] : []));
}

/** The slider of the brightness between black and the full color: dark values become brighter to the left. */
function gammaRow(channel: Channel, title: string, changed: () => void): HTMLElement {
  const gamma = channel.gamma ?? 1;
  const options = { min: "-2", max: "2", step: "0.05", value: String(Math.log2(gamma)) };
  const slider = made("input", { type: "range", ...options, ariaLabel: `Gamma of ${title}`, className: "gamma" });
  const text = made("output", { className: "gamma-text" }, gamma.toFixed(2));
  slider.oninput = () => {
    channel.gamma = Number((2 ** Number(slider.value)).toPrecision(3));
    text.textContent = channel.gamma.toFixed(2);
    changed();
  };
  slider.ondblclick = () => {
    slider.value = "0";
    slider.oninput?.(new Event("input"));
  };
  return made("label", { className: "row" }, made("span", { className: "note" }, "Gamma"), slider, text);
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
