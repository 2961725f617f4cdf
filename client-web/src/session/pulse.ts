// Whether the node is still heard. It is told the time, in milliseconds, and what was heard, and says what that
// is reason for. What counts is the time that the page ran: while it stood still it heard nobody.
//
//   well ── nothing heard for PROBE_MS ──▶ quiet ── nor for DOWN_MS ──▶ down
//     ▲                                                                  ▲ at once, where there is reason for
//     └────────────────────── anything heard ────────────────────────────┘ doubt: the page slept, or the browser
//                                                                          says that the network is back
import { RunningTime } from '../running.ts';

export type Health = 'well' | 'quiet' | 'down';

/** How often to look. */
export const LOOK_MS = 100;
/** The node tells figures four times a second, and shows more pictures than that. */
const PROBE_MS = 600;
/** Less than this may be a machine that is busy. */
const DOWN_MS = 1_500;
/** Between two looks that are this far apart the page was frozen, or the machine asleep. */
const ASLEEP_MS = 1_000;
/** A look so long after the one before came late itself. */
const LATE_MS = 2 * LOOK_MS;

export class Pulse {
  private readonly waiting = new RunningTime(LATE_MS);
  /** How long it waited until the last look. */
  private waited = 0;
  private heardAt: number;
  private lookedAt: number;
  private doubted = false;

  constructor(now: number) {
    this.waiting.begin(now);
    this.heardAt = now;
    this.lookedAt = now;
  }

  /** Whether nothing was heard for so long that it shows. */
  get isSilent(): boolean {
    return this.waited >= DOWN_MS;
  }

  /** Whether that is as long ago by the clock, whoever stood still meanwhile. */
  isLongAgo(now: number): boolean {
    return now - this.heardAt >= DOWN_MS;
  }

  get isDoubted(): boolean {
    return this.doubted;
  }

  /** The node was heard. */
  heard(now: number): void {
    this.waiting.begin(now);
    this.waited = 0;
    this.heardAt = now;
    this.doubted = false;
  }

  /** What was heard until now does not count: the path may be another one. */
  doubt(): void {
    this.doubted = true;
  }

  look(now: number): Health {
    if (now - this.lookedAt > ASLEEP_MS) this.doubt();
    this.lookedAt = now;
    this.waited = this.waiting.look(now);
    if (this.doubted || this.isSilent) return 'down';
    return this.waited >= PROBE_MS ? 'quiet' : 'well';
  }
}
