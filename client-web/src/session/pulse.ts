// Whether the node is still heard. It is told the time, in milliseconds, and what was heard, and says what that
// is reason for.
//
//   well ── nothing heard for PROBE_MS ──▶ quiet ── nor for DOWN_MS ──▶ down
//     ▲                                                                  ▲ at once, where there is reason for
//     └────────────────────── anything heard ────────────────────────────┘ doubt: the page slept, or the browser
//                                                                          says that the network is back
export type Health = 'well' | 'quiet' | 'down';

/** How often to look. */
export const LOOK_MS = 100;
/** The node tells figures four times a second, and shows more pictures than that. */
const PROBE_MS = 600;
/** Less than this may be a machine that is busy. */
const DOWN_MS = 1_500;
/** Between two looks that are this far apart the page was frozen, or the machine asleep. */
const ASLEEP_MS = 1_000;

export class Pulse {
  private heardAt: number;
  private lookedAt: number;
  private doubted = false;

  constructor(now: number) {
    this.heardAt = now;
    this.lookedAt = now;
  }

  /** Whether nothing was heard for so long that it shows. */
  isSilent(now: number): boolean {
    return now - this.heardAt >= DOWN_MS;
  }

  get isDoubted(): boolean {
    return this.doubted;
  }

  /** The node was heard. */
  heard(now: number): void {
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
    if (this.doubted || this.isSilent(now)) return 'down';
    return now - this.heardAt >= PROBE_MS ? 'quiet' : 'well';
  }
}
