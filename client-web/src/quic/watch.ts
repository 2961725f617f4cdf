// Watches a decoder that should give each picture as soon as it has its frame.
import { RunningTime } from '../running.ts';

/** Frames that a decoder may hold back; with more it reorders, or waits for what never comes. */
const MOST_HELD = 2;
/** Frames in a row for which it held back more until it counts as one that does. */
const IN_A_ROW = 15;
/** Frames that may wait for a decoder: half a second at 60 a second. */
export const MOST_QUEUED = 30;

export class DecoderWatch {
  private inside = 0;
  private row = 0;

  /** Frames that went in and did not come out. */
  get pending(): number {
    return this.inside;
  }

  /** A frame goes in, while `queued` wait in front of the decoder. Says whether it holds pictures back. */
  submitted(queued: number): boolean {
    this.row = this.inside - queued > MOST_HELD ? this.row + 1 : 0;
    this.inside += 1;
    return this.row >= IN_A_ROW;
  }

  /** A picture came out. */
  decoded(): void {
    this.inside = Math.max(0, this.inside - 1);
  }

  /** The decoder begins anew. */
  reset(): void {
    this.inside = 0;
    this.row = 0;
  }
}

/** Time between two wishes for a keyframe, at least: a round trip and the time that one takes. */
export const ASK_EVERY_MS = 250;
/** Frames that wait this long for what they refer to wait in vain: the server gave it up, or never knew. */
export const STUCK_MS = 400;
/** How often to look whether they do. */
export const STUCK_LOOK_MS = 100;

/** When to ask for a keyframe. It is told the time, in milliseconds. */
export class KeyframeWish {
  private askedAt = Number.NEGATIVE_INFINITY;
  private readonly waiting = new RunningTime(2 * STUCK_LOOK_MS);

  /** Whether to ask now, where one is needed. */
  needed(now: number): boolean {
    if (now - this.askedAt < ASK_EVERY_MS) return false;
    this.askedAt = now;
    return true;
  }

  /** Frames wait for others from now on. */
  wait(now: number): void {
    this.waiting.begin(now);
  }

  /**
   * Whether they have waited for so long that only a keyframe helps: of the time that the worker ran, since what they wait for may
   * lie in its queues. After a wish they wait anew. To be asked every `STUCK_LOOK_MS`.
   */
  stuck(now: number): boolean {
    if (this.waiting.look(now) < STUCK_MS || !this.needed(now)) return false;
    this.waiting.begin(now);
    return true;
  }
}
