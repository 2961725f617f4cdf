// Where the pointer is. Relative motion is kept as totals since the session began, so a lost message
// loses nothing; absolute places replace one another, and where the pointer came to rest is said again on the
// reliable channel. Messages are at least 2 ms apart: mice report up to 8000 times a second and no picture comes
// that often.
import type { InputEvent } from './encode.ts';
import type { InputSender } from './sender.ts';

const INTERVAL_MS = 2;
/** A place where the pointer rests this long after it was told unreliably is told again. */
const SETTLE_MS = 100;
/** Units a pixel. */
const FRACTION = 16;

type Motion = Extract<InputEvent, { kind: 'absolute' | 'relative' }>;

/** A total in pixels as it travels: in 1/16 pixel, wrapping as an `i32`. */
export function wireTotal(pixels: number): number {
  // `|` converts modulo 2^32 (ECMAScript ToInt32).
  return Math.round(pixels * FRACTION) | 0;
}

export class PointerMotion {
  private totalX = 0;
  private totalY = 0;
  private waiting: Motion | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** Runs while the pointer rests where it may not be known to. */
  private rest: ReturnType<typeof setTimeout> | undefined;
  private last = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly sender: InputSender,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** The pointer moved by this many pixels. */
  moveBy(x: number, y: number): void {
    if (x === 0 && y === 0) return;
    this.totalX += x;
    this.totalY += y;
    this.soon({ kind: 'relative', totalX: wireTotal(this.totalX), totalY: wireTotal(this.totalY) });
  }

  /** The pointer is here, 0 to 65535 both ways. */
  moveTo(x: number, y: number): void {
    this.soon({ kind: 'absolute', x, y });
  }

  /**
   * Sends what waits on the reliable channel, so that a click that follows on that channel happens in
   * the right place.
   */
  settle(place?: { readonly x: number; readonly y: number }): void {
    this.stop();
    if (place !== undefined) this.waiting = { kind: 'absolute', ...place };
    if (this.waiting !== undefined && this.sender.send(this.waiting)) this.waiting = undefined;
  }

  /** Sends what a full channel refused. */
  resume(): void {
    this.flush();
  }

  close(): void {
    this.stop();
    this.waiting = undefined;
  }

  private soon(motion: Motion): void {
    clearTimeout(this.rest);
    this.waiting = motion;
    const wait = INTERVAL_MS - (this.now() - this.last);
    if (wait <= 0) this.flush();
    else
      this.timer ??= setTimeout(() => {
        this.flush();
      }, wait);
  }

  private flush(): void {
    const { waiting } = this;
    if (waiting === undefined) return;
    this.stop();
    this.last = this.now();
    // Kept when the channel is full: `resume` or the next motion sends the newest.
    if (!this.sender.sendMotion(waiting)) return;
    this.waiting = undefined;
    if (waiting.kind === 'absolute') this.rest = setTimeout(() => { this.settle(waiting); }, SETTLE_MS);
  }

  private stop(): void {
    clearTimeout(this.timer);
    clearTimeout(this.rest);
    this.timer = undefined;
  }
}
