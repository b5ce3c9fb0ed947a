// What the server answers about recordings and genomes.

import { json, query, type Labels } from "./api";

export interface Sequence {
  number: number;
  name: string;
  length: number;
}

export interface Curves {
  start: number;
  step: number;
  low: (number | null)[][];
  high: (number | null)[][];
  complete: boolean;
}

export interface Shares {
  start: number;
  step: number;
  shares: number[][];
  known: boolean[];
}

export interface ClassCurves {
  start: number;
  step: number;
  probabilities: (number | null)[][];
}

export interface Interval {
  start: number;
  end: number;
  kind: string;
  strand: string;
  parts: [number, number][];
  score: number | null;
  notes: Record<string, string>;
}

export interface Intervals {
  found: boolean;
  total: number;
  intervals: Interval[];
}

/** A part of a sequence. */
export interface Part {
  start: number;
  stop: number;
  sequence: number;
}

export const listSequences = (id: number, start: number, count: number, name = "") =>
  json<{ total: number; sequences: Sequence[] }>(`api/inputs/${id}/sequences?${query({ start, count, name })}`);

export const getCurves = (id: number, part: Part, bins: number, channels: number[], signal: AbortSignal) =>
  json<Curves>(`api/inputs/${id}/curves?${query({ ...part, bins, channels: channels.join(",") })}`, { signal });

export const getShares = (id: number, part: Part, bins: number, origin: "network" | "file", signal: AbortSignal) =>
  json<Shares>(`api/inputs/${id}/shares?${query({ ...part, bins, origin })}`, { signal });

export const getClassCurves = (id: number, part: Part, bins: number, signal: AbortSignal) =>
  json<ClassCurves>(`api/inputs/${id}/probabilities?${query({ ...part, bins })}`, { signal });

export const getFeatures = (id: number, part: Part, origin: "network" | "file", signal: AbortSignal) =>
  json<Intervals>(`api/inputs/${id}/features?${query({ ...part, origin })}`, { signal });

export const getLetters = (id: number, part: Part, signal: AbortSignal) =>
  json<{ start: number; letters: string }>(`api/inputs/${id}/letters?${query({ ...part })}`, { signal });

export const postWindow = (id: number, sequence: number, left: number, right: number) =>
  json<Labels>(`api/inputs/${id}/view`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ sequence, left, right, top: 0, bottom: 1 }),
  });
