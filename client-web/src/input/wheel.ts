// Wheel events in 1/120 of a notch. What is less than a unit is kept for the next event.

/** Pixels that Chromium and Firefox report for one notch of a common mouse. */
const PIXELS_A_NOTCH = 100;
/** Lines that a notch scrolls by default. */
const LINES_A_NOTCH = 3;
const UNITS_A_NOTCH = 120;

/** Units of one step in a `WheelEvent.deltaMode`: pixels, lines, pages. */
function unitsPerDelta(mode: number): number {
  if (mode === 1) return UNITS_A_NOTCH / LINES_A_NOTCH;
  // A page is what a notch does where one is set to scroll by pages.
  if (mode === 2) return UNITS_A_NOTCH;
  return UNITS_A_NOTCH / PIXELS_A_NOTCH;
}

export interface WheelLike {
  readonly deltaX: number;
  readonly deltaY: number;
  readonly deltaMode: number;
}

export class WheelScale {
  private restX = 0;
  private restY = 0;

  /** The event in units, or undefined while they are less than one. */
  take(event: WheelLike): { readonly x: number; readonly y: number } | undefined {
    const scale = unitsPerDelta(event.deltaMode);
    this.restX += event.deltaX * scale;
    this.restY += event.deltaY * scale;
    const x = clampToI16(Math.trunc(this.restX));
    const y = clampToI16(Math.trunc(this.restY));
    if (x === 0 && y === 0) return undefined;
    // What a clamp cut off is dropped, not spread over later events.
    this.restX %= 1;
    this.restY %= 1;
    return { x, y };
  }
}

function clampToI16(value: number): number {
  return Math.min(Math.max(value, -0x8000), 0x7fff);
}
