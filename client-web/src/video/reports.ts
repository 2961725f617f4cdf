// What came of frames, told in batches: the first frame at once, then what gathers in a tenth of a
// second. Bound: 64 reports a batch, the most that the server takes in a message; at 240 frames a second
// a batch has 24. When more gather (a suspended timer), the oldest go: the ledger wants to know how it
// is now.
import type { Micros, RtpTimestamp, Size } from '../units.ts';
import type { FrameReport } from '../wire/index.ts';
import type { Progress } from './messages.ts';

export const MAX_REPORTS = 64;
/** Time between batches. */
export const BATCH_MS = 100;

export interface Shown {
  readonly size: Size;
  readonly rtp: RtpTimestamp | undefined;
  readonly decodedAt: Micros;
  readonly presentedAt: Micros;
}

export class ProgressBatch {
  private reports: FrameReport[] = [];
  private presented = 0;
  private last: Shown | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private atOnce = true;

  constructor(private readonly tell: (progress: Progress) => void) {}

  /** Notes a frame that was just shown. */
  note(shown: Shown): void {
    this.presented += 1;
    this.last = shown;
    if (shown.rtp !== undefined) {
      if (this.reports.length === MAX_REPORTS) this.reports.shift();
      this.reports.push({ rtp: shown.rtp, decoded_us: shown.decodedAt, presented_us: shown.presentedAt });
    }
    if (this.atOnce) {
      this.atOnce = false;
      this.flush();
    } else {
      this.timer ??= setTimeout(() => {
        this.flush();
      }, BATCH_MS);
    }
  }

  /** The next frame is told at once again: it is the first of a new track. */
  restart(): void {
    this.atOnce = true;
  }

  close(): void {
    clearTimeout(this.timer);
  }

  private flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.last === undefined) return;
    const reports = this.reports;
    this.reports = [];
    this.tell({ ...this.last, presented: this.presented, reports });
  }
}
