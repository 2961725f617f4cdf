// How long the browser's own buffer of sound is: as short as it can be made, until that proves to be too short.
//
// What browsers call interactive is 10 ms and more on top of what the device needs, since they cannot know how soon a
// page has its turn. A buffer that runs dry shows here: the context's clock falls behind that of the page, by far more
// than clocks drift apart.

/** Time that the context's clock may lose within `WINDOW_MS`: more than it is read wrongly by. */
const MOST_LOST_MS = 60;
const WINDOW_MS = 10_000;
/** Longer between two looks the context was suspended. */
const PAUSE_MS = 1_000;

interface Look {
  readonly context: number;
  readonly page: number;
}

export class Haste {
  private first: Look | undefined;
  private last: Look | undefined;
  private patient = false;

  /** What is asked of an audio context. */
  get hint(): AudioContextLatencyCategory | number {
    return this.patient ? 'interactive' : 0;
  }

  /** The context's clock and the page's show these milliseconds at one moment; whether the context is to be replaced, which is said once. */
  wasTooMuch(context: number, page: number): boolean {
    if (this.patient) return false;
    const now = { context, page };
    if (this.last === undefined || page - this.last.page > PAUSE_MS) this.first = now;
    this.last = now;
    const first = this.first ?? now;
    const passed = page - first.page;
    this.patient = passed - (context - first.context) > MOST_LOST_MS;
    if (passed > WINDOW_MS) this.first = now;
    return this.patient;
  }
}
