// What the server answers, and how it is asked. The token is in the part of the link behind "#", which browsers never
// send; it goes into a header of every request, and out of the address bar.

export interface Channel {
  number: number;
  name: string;
  low: number;
  high: number;
  color: string;
  shown: boolean;
  /** Exponent of the brightness; 1 where it is not given. */
  gamma?: number;
}

export interface Plane {
  axis: number;
  count: number;
  grid: [number, number];
  levels: [number, number][];
  spacing: [number, number] | null;
}

export interface InputName {
  id: number;
  name: string;
}

export interface Input extends InputName {
  view: "planes" | "signal" | "genome";
  sequences: number;
  annotated: boolean;
  truth: boolean;
  spacing: number[] | null;
  shape: number[];
  dtype: string;
  kind: string;
  unit: string | null;
  axes: string | null;
  channels: Channel[];
  planes: Plane[];
  tile: number;
}

export interface Run {
  name: string | null;
  classes: { number: number; name: string; color: string }[];
  void: number;
  unknown: number;
  /** Grows when another network takes its place. */
  version: number;
}

export interface Labels {
  state: "new" | "opening" | "reading" | "ready";
  problem: string;
  size: number[] | null;
  planes: [number, number][][];
  whole: boolean;
  known: number;
  complete: boolean;
  read: number;
  filling: boolean;
  version: number;
}

/** Labels of the network, or the true ones of a sample of the evaluation. */
export type Source = "labels" | "truth";

export interface Box {
  top: number;
  left: number;
  bottom: number;
  right: number;
}

export interface Probability {
  position: number[];
  label: number;
  name: string;
  probabilities: number[];
}

const STORED = "atrous-token";

function readToken(): string {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(STORED, given);
    history.replaceState(null, "", location.pathname + location.search);
    return given;
  }
  return sessionStorage.getItem(STORED) ?? "";
}

const token = readToken();

export const headers = { Authorization: `Bearer ${token}` };

/** The address of a file that the browser saves by itself, which sends no headers of ours. */
export function savedAddress(path: string): string {
  return `${path}${path.includes("?") ? "&" : "?"}token=${encodeURIComponent(token)}`;
}

export const SILENT = "The server does not answer: is atrous serve still running?";

/** What the server refused, in its own words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export async function ask(path: string, options: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { ...options, headers: { ...headers, ...options.headers }, cache: "no-store" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refused(0, SILENT);
  }
  if (!answer.ok) {
    const body: unknown = await answer.json().catch(() => null);
    const said = body !== null && typeof body === "object" && "detail" in body ? String(body.detail) : answer.statusText;
    throw new Refused(answer.status, said);
  }
  return answer;
}

export async function json<T>(path: string, options?: RequestInit): Promise<T> {
  return (await (await ask(path, options)).json()) as T;
}

export function query(values: Record<string, string | number | boolean>): string {
  return new URLSearchParams(Object.entries(values).map(([name, value]) => [name, String(value)])).toString();
}

export const getRun = () => json<Run>("api/run");

export const listInputs = (start: number, count: number) =>
  json<{ total: number; inputs: InputName[] }>(`api/inputs?${query({ start, count })}`);

export const getInput = (id: number, signal?: AbortSignal) => json<Input>(`api/inputs/${id}`, { signal });

export const getLabels = (id: number, sequence = 0, source: Source = "labels") =>
  json<Labels>(`api/inputs/${id}/${source}?${query({ sequence })}`);

export const postView = (id: number, box: Box & { axis: number; index: number }) =>
  json<Labels>(`api/inputs/${id}/view`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(box),
  });

export const postFill = (id: number, on: boolean, sequence = 0) =>
  json<Labels>(`api/inputs/${id}/fill?${query({ on, sequence })}`, { method: "POST" });

export const getProgress = (id: number, axis: number, index: number) =>
  json<number>(`api/inputs/${id}/progress?${query({ axis, index })}`);

export const getValue = (id: number, place: Record<string, number>, signal: AbortSignal) =>
  json<{ values: (number | null)[] }>(`api/inputs/${id}/value?${query(place)}`, { signal });

export const getProbability = (id: number, place: Record<string, number>, signal: AbortSignal) =>
  json<Probability>(`api/inputs/${id}/probability?${query(place)}`, { signal });

/** Labels of a tile as far as they are known; null if none is. */
export async function getLabelTile(
  id: number,
  place: { level: number; row: number; column: number; axis: number; index: number },
  signal: AbortSignal,
  source: Source = "labels",
): Promise<{ values: Uint8Array<ArrayBuffer>; exact: boolean } | null> {
  const { level, row, column, axis, index } = place;
  const options = query({ axis, index, exact: false, raw: true });
  const answer = await ask(`api/inputs/${id}/${source}/${level}/${row}/${column}?${options}`, { signal });
  if (answer.status === 204) return null;
  const values = new Uint8Array(await answer.arrayBuffer());
  return { values, exact: answer.headers.get("Atrous-Exact") === "true" };
}

/** Labels of a part of the image as the network sees it alone and reduced. */
export async function getPreview(
  id: number,
  box: Box,
  signal: AbortSignal,
): Promise<{ values: Uint8Array<ArrayBuffer>; height: number; width: number }> {
  const answer = await ask(`api/inputs/${id}/preview?${query({ ...box })}`, { signal });
  const values = new Uint8Array(await answer.arrayBuffer());
  const [height, width] = ["Atrous-Height", "Atrous-Width"].map((name) => Number(answer.headers.get(name)));
  return { values, height, width };
}

/** The address of a tile of the image, with how its channels are shown. */
export function tileAddress(
  id: number,
  place: { axis: number; index: number },
  channels: Channel[],
): (level: number, row: number, column: number) => string {
  const shown = channels
    .filter((one) => one.shown)
    .map((one) => `${one.number}:${one.low}:${one.high}:${one.color}${(one.gamma ?? 1) === 1 ? "" : `:${one.gamma}`}`);
  const options = query({ ...place, channels: shown.join(",") });
  return (level, row, column) => `api/inputs/${id}/tiles/${level}/${row}/${column}?${options}`;
}
