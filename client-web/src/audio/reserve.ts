// How early blocks of sound have to come: as much as was enough lately, and no more.
//
// What is certain is the least of what the blocks of the last seconds had. The margin on top is for what comes more rarely than
// that: it grows by one call of the audio thread when a block comes too late, and shrinks by one after a while in which none did.

/** Samples of a call of the browser's audio thread. */
export const QUANTUM = 128;
/** The margin in calls: less than one, and the block would come while its first samples are being asked for. */
const [LEAST, MOST] = [1, 8];
/** Before anything is known of the path. */
const FIRST = 2;
/** Samples played without a late block, after which less may be enough: five seconds. */
const CALM = 5 * 48_000;
/** The least of one to two seconds is known, and that of so many blocks. */
const WINDOW = 48_000;
const BLOCKS = 8;

export class Reserve {
  private calls = FIRST;
  private calmSince = 0;
  private readonly blocks: number[] = [];
  private least = { since: 0, now: Number.POSITIVE_INFINITY, before: Number.POSITIVE_INFINITY };

  /** Samples that blocks are to come early by, at the least. */
  get margin(): number {
    return this.calls * QUANTUM;
  }

  /** Whether a whole window is known. */
  get isKnown(): boolean {
    return Number.isFinite(this.least.before);
  }

  /** The least of the newest blocks; nothing while there are few. */
  get newest(): number {
    return this.blocks.length < BLOCKS ? 0 : Math.min(...this.blocks);
  }

  /** A block came so many samples early when so many had been played; yields the least of late. */
  early(samples: number, played: number): number {
    if (played - this.least.since >= WINDOW) this.least = { since: played, now: Number.POSITIVE_INFINITY, before: this.least.now };
    this.least.now = Math.min(this.least.now, samples);
    this.blocks.push(samples);
    if (this.blocks.length > BLOCKS) this.blocks.shift();
    if (played - this.calmSince >= CALM) {
      this.calls = Math.max(LEAST, this.calls - 1);
      this.calmSince = played;
    }
    return Math.min(this.least.now, this.least.before);
  }

  /** A block that something waited for came late. By how much is of no matter: what comes often is in what is certain. */
  late(played: number): void {
    this.calls = Math.min(MOST, this.calls + 1);
    this.calmSince = played;
  }

  /** What was known of blocks is true no more: all is moved. */
  forget(played: number): void {
    this.least = { since: played, now: Number.POSITIVE_INFINITY, before: Number.POSITIVE_INFINITY };
    this.blocks.length = 0;
  }
}
