// The image: OpenSeadragon moves and zooms it and loads its tiles. The labels are a canvas over it.

import OpenSeadragon from "openseadragon";
import { headers, tileAddress, type Channel, type Input, type Plane } from "./api";
import type { Placement } from "./labels";

export interface Spot {
  /** Row and column in the file. */
  row: number;
  column: number;
}

export class Stage {
  readonly canvas = document.createElement("canvas");
  private readonly viewer: OpenSeadragon.Viewer;
  private item: OpenSeadragon.TiledImage | null = null;
  private plane: Plane | null = null;
  private waiting = 0;
  private smooth = true;
  marker: Spot | null = null;

  /** `moved` is called while the image moves, `settled` when it has stopped, `clicked` with a position in the file. */
  constructor(
    element: HTMLElement,
    private readonly moved: () => void,
    settled: () => void,
    clicked: (spot: Spot) => void,
    failed: (reason: string) => void,
  ) {
    this.viewer = OpenSeadragon({
      element,
      drawer: "canvas",
      showNavigationControl: false,
      loadTilesWithAjax: true,
      ajaxHeaders: headers,
      imageLoaderLimit: 4,
      timeout: 600000,
      maxZoomPixelRatio: 40,
      minZoomImageRatio: 0.6,
      visibilityRatio: 0.3,
      animationTime: 0.35,
      springStiffness: 8,
      zoomPerScroll: 1.3,
      maxImageCacheCount: 400,
      preserveImageSizeOnResize: true,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsPen: { clickToZoom: false, dblClickToZoom: true },
    });
    this.canvas.className = "overlay";
    this.viewer.canvas.appendChild(this.canvas);
    this.viewer.addHandler("update-viewport", () => {
      this.sharpen();
      this.moved();
    });
    this.viewer.addHandler("resize", () => this.moved());
    this.viewer.addHandler("animation-finish", settled);
    this.viewer.addHandler("open", settled);
    this.viewer.addHandler("resize", settled);
    this.viewer.addHandler("canvas-key", (event) => {
      event.preventDefaultAction = true; // the page has keys of its own
    });
    this.viewer.addHandler("canvas-click", (event) => {
      const spot = event.quick ? this.spotAt(event.position) : null;
      if (spot !== null) clicked(spot);
    });
    this.viewer.addHandler("tile-load-failed", (event) => {
      const request = event.tileRequest as XMLHttpRequest | null;
      if (request !== null && request !== undefined && request.status >= 400) failed(said(request));
    });
  }

  /** Show a plane; `keep` the place where the one before was looked at. */
  show(input: Input, plane: Plane, index: number, channels: Channel[], keep: boolean): void {
    const [height, width] = plane.levels[0];
    const last = plane.levels.length - 1;
    const address = tileAddress(input.id, { axis: plane.axis, index }, channels);
    const source = {
      width,
      height,
      tileSize: input.tile,
      tileOverlap: 0,
      minLevel: 0,
      maxLevel: last,
      getTileUrl: (level: number, x: number, y: number) => address(last - level, y, x),
    };
    const stays = keep && this.item !== null;
    this.plane = plane;
    if (!stays) this.item = null;
    this.waiting += 1;
    const turn = this.waiting;
    this.viewer.addTiledImage({
      tileSource: source,
      success: (event: unknown) => {
        const item = (event as { item: OpenSeadragon.TiledImage }).item;
        if (turn !== this.waiting) {
          this.viewer.world.removeItem(item);
          return;
        }
        this.item = item;
        if (!stays) {
          this.removeOthers();
          this.viewer.viewport.goHome(true);
        } else {
          // the picture before stays beneath until the new one is there
          item.addOnceHandler("fully-loaded-change", () => {
            if (this.item === item) this.removeOthers();
          });
        }
        this.moved();
        this.viewer.raiseEvent("animation-finish", {});
      },
    });
  }

  /** Show pixels as squares when they are large. */
  private sharpen(): void {
    const smooth = this.perPixel() > 0.4;
    if (smooth === this.smooth) return;
    this.smooth = smooth;
    this.viewer.drawer.setImageSmoothingEnabled(smooth);
    this.viewer.forceRedraw();
  }

  private removeOthers(): void {
    const { world } = this.viewer;
    const others = Array.from({ length: world.getItemCount() }, (_, n) => world.getItemAt(n));
    for (const other of others) if (other !== this.item) world.removeItem(other);
  }

  /** Where the image is on the screen; null where none is open. */
  placement(): Placement | null {
    if (this.item === null || this.plane === null) return null;
    const [height, width] = this.plane.levels[0];
    const bounds = this.viewer.viewport.getBounds(true);
    if (!(bounds.width > 0)) return null;
    const size = this.viewer.viewport.getContainerSize();
    const corner = this.item.imageToViewportCoordinates(0, 0, true);
    const far = this.item.imageToViewportCoordinates(width, height, true);
    const zoom = size.x / bounds.width;
    return {
      left: (corner.x - bounds.x) * zoom,
      top: (corner.y - bounds.y) * zoom,
      width: (far.x - corner.x) * zoom,
      height: (far.y - corner.y) * zoom,
    };
  }

  /** How many pixels of the shown picture are one CSS pixel. */
  perPixel(): number {
    const placement = this.placement();
    return placement === null || this.plane === null ? 1 : this.plane.levels[0][1] / placement.width;
  }

  /** Where a position of the file is on the screen: the place of its pixel's corner, and the pixel's size. */
  onScreen(spot: Spot): Placement | null {
    const placement = this.placement();
    if (placement === null || this.plane === null) return null;
    const [rows, columns] = this.plane.grid;
    return {
      left: placement.left + (spot.column * placement.width) / columns,
      top: placement.top + (spot.row * placement.height) / rows,
      width: placement.width / columns,
      height: placement.height / rows,
    };
  }

  private spotAt(pixel: OpenSeadragon.Point): Spot | null {
    const placement = this.placement();
    if (placement === null || this.plane === null) return null;
    const [rows, columns] = this.plane.grid;
    const row = Math.floor(((pixel.y - placement.top) / placement.height) * rows);
    const column = Math.floor(((pixel.x - placement.left) / placement.width) * columns);
    return row >= 0 && row < rows && column >= 0 && column < columns ? { row, column } : null;
  }

  zoomBy(factor: number): void {
    this.viewer.viewport.zoomBy(factor);
    this.viewer.viewport.applyConstraints();
  }

  /** Move by a part of what is in view. */
  moveBy(across: number, down: number): void {
    const bounds = this.viewer.viewport.getBounds();
    this.viewer.viewport.panBy(new OpenSeadragon.Point(across * bounds.width, down * bounds.height));
    this.viewer.viewport.applyConstraints();
  }

  fit(): void {
    this.viewer.viewport.goHome();
  }

  /** Move a position of the file into the middle. */
  goTo(spot: Spot, immediately = false): void {
    if (this.item === null || this.plane === null) return;
    const [rows, columns] = this.plane.grid;
    const [height, width] = this.plane.levels[0];
    const x = ((spot.column + 0.5) * width) / columns;
    const y = ((spot.row + 0.5) * height) / rows;
    this.viewer.viewport.panTo(this.item.imageToViewportCoordinates(x, y), immediately);
    if (!immediately) this.viewer.viewport.applyConstraints();
  }

  /** What is moved by the pointer and zoomed by the wheel. */
  get surface(): HTMLElement {
    return this.viewer.canvas as HTMLElement;
  }

  /** One pixel of the picture on one CSS pixel, around a position of the file if one is given. */
  oneToOne(spot?: Spot): void {
    if (this.item === null || this.plane === null) return;
    const zoom = this.item.imageToViewportZoom(1);
    if (spot !== undefined) this.goTo(spot, true);
    this.viewer.viewport.zoomTo(zoom, undefined, spot !== undefined);
    this.viewer.viewport.applyConstraints(spot !== undefined);
  }
}

/** What the server said when it refused a tile. */
function said(request: XMLHttpRequest): string {
  const { response } = request;
  const text = response instanceof ArrayBuffer ? new TextDecoder().decode(response) : String(response);
  try {
    return String((JSON.parse(text) as { detail: unknown }).detail);
  } catch {
    return `the server answers ${request.status}`;
  }
}
