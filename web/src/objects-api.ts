// What the server answers about single objects, and how it is asked.

import { ask, json, query } from "./api";

export interface Objects {
  open: boolean;
  folder: string;
  finds: boolean;
}

export interface ObjectImage {
  revision: number;
  count: number;
  levels: [number, number][];
  saved: string;
  can_undo: boolean;
  can_redo: boolean;
}

export type Point = [row: number, column: number];

export type Edit = "merge" | "split" | "delete" | "outline";

export const getObjects = () => json<Objects>("api/objects");

export const getObjectImage = (id: number) => json<ObjectImage>(`api/objects/inputs/${id}`);

export const getNumber = (id: number, row: number, column: number) =>
  json<{ number: number; area: number }>(`api/objects/inputs/${id}/number?${query({ row, column })}`);

export const postEdit = (id: number, kind: Edit, points: Point[]) =>
  json<ObjectImage>(`api/objects/inputs/${id}/edits`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ kind, points }),
  });

export const postStep = (id: number, step: "undo" | "redo" | "find") =>
  json<ObjectImage>(`api/objects/inputs/${id}/${step}`, { method: "POST" });

/** The number of the object of each pixel of a tile; and after how many changes. */
export async function getNumberTile(
  id: number,
  place: { level: number; row: number; column: number },
  signal: AbortSignal,
): Promise<{ values: Uint32Array; revision: number }> {
  const { level, row, column } = place;
  const answer = await ask(`api/objects/inputs/${id}/tiles/${level}/${row}/${column}`, { signal });
  const values = new Uint32Array(await answer.arrayBuffer());
  return { values, revision: Number(answer.headers.get("Atrous-Revision")) };
}
