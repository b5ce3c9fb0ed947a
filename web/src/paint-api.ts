// What the server answers about painting and training, and how it is asked.

import { ask, json, query } from "./api";

export interface PaintClass {
  name: string;
  color: string;
}

export interface Painted {
  open: boolean;
  can_begin: boolean;
  folder: string;
  classes: PaintClass[];
  counts: number[];
}

export interface PaintedImage {
  revision: number;
  size: number[];
  planes: [number, number][][];
  counts: number[];
  can_undo: boolean;
  can_redo: boolean;
}

export type Point = [row: number, column: number];

export interface Stroke {
  kind: "brush" | "polygon" | "box" | "fill";
  label: number | null;
  points: Point[];
  radius: number;
  axis: number;
  index: number;
  view?: { top: number; left: number; bottom: number; right: number };
}

export interface Training {
  state: "off" | "starting" | "training" | "stopping";
  problem: string;
  version: number;
  step: number;
  seconds: number;
  samples: Record<string, number>;
  loss: [number, number][];
  held_out_loss: [number, number][];
  accuracy: [number, number][];
}

export interface Place {
  row: number;
  column: number;
  uncertainty: number;
}

const sent = (method: string, body: unknown): RequestInit => ({
  method,
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

export const getPainted = () => json<Painted>("api/paint");

export const postBegin = (name: string) => json<Painted>("api/paint/begin", sent("POST", { name }));

export const putClasses = (classes: PaintClass[]) => json<Painted>("api/paint/classes", sent("PUT", { classes }));

export const getPaintedImage = (id: number) => json<PaintedImage>(`api/paint/inputs/${id}`);

export const postStroke = (id: number, stroke: Stroke) =>
  json<PaintedImage>(`api/paint/inputs/${id}/strokes`, sent("POST", stroke));

export const postUndo = (id: number) => json<PaintedImage>(`api/paint/inputs/${id}/undo`, { method: "POST" });

export const postRedo = (id: number) => json<PaintedImage>(`api/paint/inputs/${id}/redo`, { method: "POST" });

export const getTraining = () => json<Training>("api/paint/training");

export const postTraining = (on: boolean) => json<Training>(`api/paint/training?${query({ on })}`, { method: "POST" });

export const getPlaces = (id: number, view: Record<string, number>) =>
  json<Place[]>(`api/paint/inputs/${id}/where?${query(view)}`);

export const postSave = (name: string) => json<{ folder: string }>("api/paint/save", sent("POST", { name }));

/** What is painted in a tile: the class of each pixel, or 255; and after how many changes. */
export async function getMaskTile(
  id: number,
  place: { level: number; row: number; column: number; axis: number; index: number },
  signal: AbortSignal,
): Promise<{ values: Uint8Array<ArrayBuffer>; revision: number }> {
  const { level, row, column, axis, index } = place;
  const answer = await ask(`api/paint/inputs/${id}/mask/${level}/${row}/${column}?${query({ axis, index })}`, { signal });
  const values = new Uint8Array(await answer.arrayBuffer());
  return { values, revision: Number(answer.headers.get("Atrous-Revision")) };
}
