// What came of frames: that they are decoded is told at once, since the server's encoder refers to them;
// when they were shown in batches, for its figures. Bound: 64 reports a batch, the most that the server
// takes in a message. When more gather (a suspended timer), the oldest go: the ledger wants to know how
// it is now.
import type { Micros, RtpTimestamp, Size } from '../units.ts';
import type { FrameReport } from '../wire/index.ts';
import type { Progress } from './messages.ts';

export const MAX_REPORTS = 64;
/** Time between batches, at least. */
export const BATCH_MS = 100;

export interface Decoded {
  readonly rtp: RtpTimestamp;
  readonly decodedAt: Micros;
}

export interface Shown {
  readonly size: Size;
  readonly rtp: RtpTimestamp | undefined;
  readonly receivedAt?: Micros;
  readonly decodedAt: Micros;
  readonly presentedAt: Micros;
}

export class ProgressBatch {
  private reports: FrameReport[] = [];
  private presented = 0;
  private last: Shown | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private toldAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly tell: (progress: Progress) => void,
    private readonly tellDecoded: (frame: Decoded) => void,
  ) {}

  /** Notes a frame that was just decoded. */
  decoded(rtp: RtpTimestamp | undefined, decodedAt: Micros): void {
    if (rtp !== undefined) this.tellDecoded({ rtp, decodedAt });
  }

  /** Notes a frame that was just shown. */
  note(shown: Shown): void {
    this.presented += 1;
    this.last = shown;
    if (shown.rtp !== undefined) {
      if (this.reports.length === MAX_REPORTS) this.reports.shift();
      const { rtp, receivedAt, decodedAt, presentedAt } = shown;
      this.reports.push({ rtp, decoded_us: decodedAt, presented_us: presentedAt, ...(receivedAt === undefined ? {} : { received_us: receivedAt }) });
    }
    const wait = this.toldAt + BATCH_MS - performance.now();
    if (wait <= 0) {
      this.flush();
    } else {
      this.timer ??= setTimeout(() => {
        this.flush();
      }, wait);
    }
  }

  /** The next frame is told at once again: it is the first of a new track. */
  restart(): void {
    this.toldAt = Number.NEGATIVE_INFINITY;
  }

  close(): void {
    clearTimeout(this.timer);
  }

  private flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.toldAt = performance.now();
    if (this.last === undefined) return;
    const reports = this.reports;
    this.reports = [];
    this.tell({ ...this.last, presented: this.presented, reports });
  }
}
