// Which transport of a session begins when, so that one that cannot be had costs no more than its head start (after
// RFC 8305, "Happy Eyeballs"): the one that is wanted begins, the next one a little later beside it, and the first that is
// connected carries the session. It is told the time, in milliseconds.
//
//   wanted ──────────── head start ───▶ next ─── head start ───▶ last
//      │ fails, or is in doubt ────────▶ at once                        first connected ──▶ the others are closed
//
// A head start is counted from the node's answer, and is longer where that took long: a far or busy node is not
// one that cannot be had.
import type { TransportKind } from './choice.ts';

/** Head start over the next one: longer than any transport takes on a path of a few milliseconds. */
export const HEAD_START_MS = 300;
/** The same for what somebody asked for. */
export const ASKED_HEAD_START_MS = 1_000;
/**
 * The same in the times that the node took for its answer, which is a round trip and some work. WebRTC's checks, DTLS and channels
 * take five round trips more, a QUIC connection three; the one that begins beside it needs at least three of its own.
 */
const ANSWERS: Readonly<Record<TransportKind, number>> = { webrtc: 4, webtransport: 2, websocket: 2 };
/** No head start is longer, which by satellite is one that is too short. */
export const MOST_HEAD_START_MS = 1_500;
/** A node that has not answered for so long may answer another one. */
export const UNANSWERED_MS = 2_000;

/** One that may take part. */
export interface Entrant {
  readonly kind: TransportKind;
  /** It did not come about in time a while ago, so nothing waits for it. */
  readonly isDoubted: boolean;
  /** Somebody asked for it. */
  readonly isAsked: boolean;
}

interface Runner extends Entrant {
  begunAt: number | undefined;
  /** Until then nothing begins beside it. */
  aheadUntil: number;
  isOut: boolean;
}

export class Race {
  private readonly runners: readonly Runner[];
  /** The longest that an answer took, milliseconds. */
  private answerMs = 0;

  /** In the order in which they are wanted. */
  constructor(entrants: readonly Entrant[]) {
    this.runners = entrants.map((entrant) => ({ ...entrant, begunAt: undefined, aheadUntil: 0, isOut: false }));
  }

  /** Whether there is somebody to run against. */
  get hasOthers(): boolean {
    return this.runners.length > 1;
  }

  /** Whether this one is all that is left. */
  isLast(kind: TransportKind): boolean {
    return this.runners.every((runner) => runner.kind === kind || runner.isOut);
  }

  /** Whether none is left. */
  get isOver(): boolean {
    return this.runners.every(({ isOut }) => isOut);
  }

  /** It begins. */
  begin(kind: TransportKind, now: number): void {
    const runner = this.find(kind);
    if (runner === undefined) return;
    runner.begunAt = now;
    // Only WebRTC's connection has the node's answer before it is connected.
    if (runner.isDoubted) runner.aheadUntil = now;
    else runner.aheadUntil = now + (kind === 'webrtc' ? UNANSWERED_MS : this.headStart(runner));
  }

  /** The node answered it. */
  answered(kind: TransportKind, now: number): void {
    const runner = this.find(kind);
    if (runner?.begunAt === undefined) return;
    this.answerMs = Math.max(this.answerMs, now - runner.begunAt);
    if (!runner.isDoubted) runner.aheadUntil = now + this.headStart(runner);
  }

  /** It cannot be had. */
  fail(kind: TransportKind): void {
    const runner = this.find(kind);
    if (runner !== undefined) runner.isOut = true;
  }

  /** The next one, and when it is to begin; undefined where all have begun. */
  next(): { readonly kind: TransportKind; readonly at: number } | undefined {
    const next = this.runners.find(({ begunAt, isOut }) => begunAt === undefined && !isOut);
    if (next === undefined) return undefined;
    const ahead = this.runners.filter(({ begunAt, isOut }) => begunAt !== undefined && !isOut);
    return { kind: next.kind, at: Math.max(0, ...ahead.map(({ aheadUntil }) => aheadUntil)) };
  }

  /** Those that were wanted more than the winner, had their time, and are not there; with how long that was, milliseconds. */
  slowerThan(winner: TransportKind, now: number): ReadonlyMap<TransportKind, number> {
    const before = this.runners.slice(0, this.runners.findIndex(({ kind }) => kind === winner));
    const slow = before.filter(({ isOut, begunAt, aheadUntil }) => !isOut && begunAt !== undefined && aheadUntil <= now);
    return new Map(slow.map(({ kind, begunAt }) => [kind, now - (begunAt ?? now)]));
  }

  private headStart({ kind, isAsked }: Entrant): number {
    const least = isAsked ? ASKED_HEAD_START_MS : HEAD_START_MS;
    return Math.min(Math.max(least, this.answerMs * ANSWERS[kind]), MOST_HEAD_START_MS);
  }

  private find(kind: TransportKind): Runner | undefined {
    return this.runners.find((runner) => runner.kind === kind);
  }
}
