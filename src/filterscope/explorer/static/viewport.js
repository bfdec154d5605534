// The part of the pictures that is seen, the same for all panes.

const MOST = 32;

/** A window on pictures whose sides run from 0 to 1. */
export class Viewport extends EventTarget {
  constructor() {
    super();
    this.x = 0.5;
    this.y = 0.5;
    this.zoom = 1;
  }

  set(x, y, zoom) {
    this.zoom = Math.min(MOST, Math.max(1, Number.isFinite(zoom) ? zoom : 1));
    const half = 0.5 / this.zoom;
    this.x = Math.min(1 - half, Math.max(half, Number.isFinite(x) ? x : 0.5));
    this.y = Math.min(1 - half, Math.max(half, Number.isFinite(y) ? y : 0.5));
    this.dispatchEvent(new Event("change"));
  }

  /** Zoom by a factor; what is at (x, y) stays where it is. */
  zoomAt(x, y, factor) {
    const zoom = Math.min(MOST, Math.max(1, this.zoom * factor));
    const share = this.zoom / zoom;
    this.set(x + (this.x - x) * share, y + (this.y - y) * share, zoom);
  }

  move(dx, dy) {
    this.set(this.x + dx, this.y + dy, this.zoom);
  }

  /** Bring a point into view. */
  show(x, y) {
    const half = 0.5 / this.zoom;
    if (Math.abs(x - this.x) < half && Math.abs(y - this.y) < half) return;
    this.set(x, y, this.zoom);
  }
}

/** The part that a pane shows: the viewport, or a lens of it around a point. */
export function seenPart(viewport, lens, point) {
  const size = 1 / viewport.zoom / lens;
  const middle = (at, whole) => Math.min(1 - size / 2, Math.max(size / 2, lens > 1 && at !== null ? at : whole));
  return {
    left: middle(point ? point.x : null, viewport.x) - size / 2,
    top: middle(point ? point.y : null, viewport.y) - size / 2,
    size,
  };
}
