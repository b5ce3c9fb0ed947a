// What draws: one pointer. And over a line: one finger or the mouse moves it, two fingers or the wheel zoom.

export interface Strokes {
  press(event: PointerEvent): void;
  drag(event: PointerEvent): void;
  release(event: PointerEvent): void;
  cancel(): void;
}

/** Hear the pointer that draws. A second finger draws nothing, and does not end what the first one draws. */
export function listenTo(canvas: HTMLCanvasElement, strokes: Strokes): void {
  const names = { pointerdown: "press", pointermove: "drag", pointerup: "release", pointercancel: "cancel" } as const;
  for (const [name, what] of Object.entries(names))
    canvas.addEventListener(name, (event) => {
      if ((event as PointerEvent).isPrimary) strokes[what](event as PointerEvent);
    });
}

export interface Moves {
  /** Zoom around a place, in pixels from the left. */
  zoom(factor: number, x: number): void;
  /** Move by so many pixels to the right. */
  pan(pixels: number): void;
  /** The pointer is at a place, or nowhere. */
  hover(x: number | null): void;
}

export function handle(box: HTMLElement, moves: Moves): void {
  const fingers = new Map<number, number>();
  const at = (event: MouseEvent) => event.clientX - box.getBoundingClientRect().left;
  const isControl = (event: Event) => (event.target as HTMLElement).closest("input, select, button") !== null;

  box.addEventListener("pointerdown", (event) => {
    if (isControl(event) || event.button !== 0) return;
    fingers.set(event.pointerId, at(event));
    box.setPointerCapture(event.pointerId);
    moves.hover(at(event));
  });
  box.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    const x = at(event);
    if (before === undefined) return moves.hover(isControl(event) ? null : x);
    const others = [...fingers.entries()].filter(([id]) => id !== event.pointerId);
    if (others.length === 0) {
      if (Math.abs(x - before) < 2) return;
      moves.pan(x - before);
    } else {
      const other = others[0][1];
      const factor = Math.abs(x - other) / Math.max(8, Math.abs(before - other));
      if (Number.isFinite(factor) && factor > 0.2) moves.zoom(Math.min(5, factor), (x + other) / 2);
    }
    fingers.set(event.pointerId, x);
  });
  for (const kind of ["pointerup", "pointercancel"] as const)
    box.addEventListener(kind, (event) => {
      fingers.delete(event.pointerId);
    });
  box.addEventListener("pointerleave", () => {
    if (fingers.size === 0) moves.hover(null);
  });
  box.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const across = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) moves.pan(-across);
      else moves.zoom(Math.exp(-event.deltaY / 300), at(event));
    },
    { passive: false },
  );
  box.addEventListener("dblclick", (event) => {
    if (!isControl(event)) moves.zoom(2, at(event));
  });
}
