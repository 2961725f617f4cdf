// How early blocks of sound have to come: as much as was enough lately, and no more.
//
// What is certain is the least of what the blocks of the last seconds had. The margin on top is for what comes more rarely than
// that: it grows by one call of the audio thread when a block comes too late, and shrinks by one after a while in which none did.

/** Samples of a call of the browser's audio thread. */
export const QUANTUM = 128;
/** The margin in calls: less than one, and the block would come while its first samples are being asked for. */
const [LEAST, MOST] = [1, 8];
/** Samples played without a late block, after which less may be enough: five seconds. */
const CALM = 5 * 48_000;
/** The least of one to two seconds is known, and that of so many blocks; of a quarter as long while it begins. */
const WINDOW = 48_000;
const FIRST_WINDOW = WINDOW / 4;
const BLOCKS = 8;

/** Of this window and of the one before it. */
interface Seen {
  readonly now: number | undefined;
  readonly before: number | undefined;
}

const NOTHING: Seen = { now: undefined, before: undefined };

export class Reserve {
  private calls = LEAST;
  private calmSince = 0;
  private readonly blocks: number[] = [];
  private least = NOTHING;
  /** The most, of blocks before the newest ones. */
  private most = NOTHING;
  private since = 0;

  /** Samples that blocks are to come early by, at the least. */
  get margin(): number {
    return this.calls * QUANTUM;
  }

  /** Whether a whole window is known. */
  get isKnown(): boolean {
    return this.least.before !== undefined;
  }

  /** The least of the newest blocks; nothing while there are few. */
  get newest(): number {
    return this.blocks.length < BLOCKS ? 0 : Math.min(...this.blocks);
  }

  /**
   * Where all of the newest blocks came earlier than any before: by how many samples. A path that is uneven does not do that: the
   * audio thread stood still, or the path is shorter from now on.
   */
  get stood(): number {
    const most = larger(this.most.now, this.most.before);
    return most === undefined || this.newest <= most ? 0 : Math.max(...this.blocks) - most;
  }

  /** A block came so many samples early when so many had been played; yields the least of late, and of less long while it begins. */
  early(samples: number, played: number, begins = false): number {
    if (played - this.since >= (begins ? FIRST_WINDOW : WINDOW)) {
      this.since = played;
      this.least = { now: undefined, before: this.least.now };
      this.most = { now: undefined, before: this.most.now };
    }
    const least = Math.min(this.least.now ?? samples, samples);
    this.least = { ...this.least, now: least };
    this.blocks.push(samples);
    if (this.blocks.length > BLOCKS) this.most = { ...this.most, now: larger(this.most.now, this.blocks.shift()) };
    if (played - this.calmSince >= CALM) {
      this.calls = Math.max(LEAST, this.calls - 1);
      this.calmSince = played;
    }
    return Math.min(least, this.least.before ?? least);
  }

  /** A block that something waited for came late. By how much is of no matter: what comes often is in what is certain. */
  late(played: number): void {
    this.calls = Math.min(MOST, this.calls + 1);
    this.calmSince = played;
  }

  /** What the thread stood still for is skipped: blocks come as early as before. */
  skipped(): void {
    this.blocks.length = 0;
  }

  /** What was known of blocks is true no more: all is moved. */
  forget(played: number): void {
    this.since = played;
    this.least = NOTHING;
    this.most = NOTHING;
    this.blocks.length = 0;
  }
}

function larger(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.max(a, b);
}
