// How long the browser's own buffer of sound is: as short as it can be made, until that proves to be too short.
//
// What browsers call interactive is 10 ms and more on top of what the device needs, since they cannot know how soon a
// page has its turn. A buffer that runs dry shows here: the context's clock falls behind that of the page, by far more
// than clocks drift apart. What the machine was busy with may be over later: in a silence the short buffer is tried again, after
// a minute, and after twice as long each time that it runs dry.

/** Time that the context's clock may lose within `WINDOW_MS`: more than it is read wrongly by. */
const MOST_LOST_MS = 60;
const WINDOW_MS = 10_000;
/** Longer between two looks the context was suspended. */
const PAUSE_MS = 1_000;
/** Time until it is tried again at first, and at the most. */
const [RETRY_MS, MOST_RETRY_MS] = [60_000, 960_000];

interface Look {
  readonly context: number;
  readonly page: number;
}

export class Haste {
  private first: Look | undefined;
  private last: Look | undefined;
  /** Since when the buffer is the usual one. */
  private patientSince: number | undefined;
  private retryMs = RETRY_MS;

  /** What is asked of an audio context. */
  get hint(): AudioContextLatencyCategory | number {
    return this.patientSince === undefined ? 0 : 'interactive';
  }

  /**
   * The context's clock and the page's show these milliseconds at one moment, in which it is quiet or something is to be heard;
   * whether the context is to be replaced, which is said once.
   */
  wantsAnother(context: number, page: number, quiet: boolean): boolean {
    if (this.patientSince !== undefined) {
      if (!quiet || page - this.patientSince < this.retryMs) return false;
      this.patientSince = undefined;
      this.renew();
      this.retryMs = Math.min(2 * this.retryMs, MOST_RETRY_MS);
      return true;
    }
    const now = { context, page };
    if (this.last === undefined || page - this.last.page > PAUSE_MS) this.first = now;
    this.last = now;
    const first = this.first ?? now;
    const passed = page - first.page;
    if (passed - (context - first.context) > MOST_LOST_MS) this.patientSince = page;
    if (passed > WINDOW_MS) this.first = now;
    return this.patientSince !== undefined;
  }

  /** Another context begins: its clock says nothing of the one before. */
  renew(): void {
    this.last = undefined;
  }
}
