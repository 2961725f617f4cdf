// How large the picture's place is in device pixels: what is played can follow it.
import type { View } from '../wire/index.ts';

/** A window that is dragged larger settles for so long before the session follows: each size costs a keyframe. */
const SETTLE_MS = 200;
/** Dots an inch of a CSS pixel (CSS Values 4, section 5.2). */
const CSS_DPI = 96;
const [LEAST_DPI, MOST_DPI] = [48, 480];

/** What a node is told of a place of this size, in CSS pixels; undefined while there is none. */
export function viewOf({ width, height }: { readonly width: number; readonly height: number }, ratio: number): View | undefined {
  // Pictures are even both ways.
  const [across, down] = [width, height].map((edge) => Math.floor(Math.round(edge * ratio) / 2) * 2) as [number, number];
  if (across <= 0 || down <= 0) return undefined;
  return { width: across, height: down, dpi: Math.min(Math.max(Math.round(CSS_DPI * ratio), LEAST_DPI), MOST_DPI) };
}

export class ScreenWatch {
  private readonly resized: ResizeObserver;
  private readonly abort = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private told: string | undefined;

  constructor(private readonly place: HTMLElement, private readonly onView: (view: View) => void) {
    this.resized = new ResizeObserver(() => { this.changed(); });
    this.resized.observe(place);
    this.watchRatio();
  }

  /** Says it now. */
  tell(): void {
    clearTimeout(this.timer);
    const view = viewOf(this.place.getBoundingClientRect(), window.devicePixelRatio);
    const text = JSON.stringify(view);
    if (view === undefined || text === this.told) return;
    this.told = text;
    this.onView(view);
  }

  close(): void {
    clearTimeout(this.timer);
    this.resized.disconnect();
    this.abort.abort();
  }

  private changed(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { this.tell(); }, SETTLE_MS);
  }

  /** Zoom, or another display, changes it while the place stays as large in CSS pixels. */
  private watchRatio(): void {
    const query = matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
    query.addEventListener('change', () => {
      this.changed();
      this.watchRatio();
    }, { once: true, signal: this.abort.signal });
  }
}
