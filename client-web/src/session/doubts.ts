// Transports that did not come about in time here, which the next visit is to know: nothing waits for them then. They lie
// in the browser's storage for this node's pages, or, without one, in the page.
import { isRecord } from '../wire/control.ts';
import type { TransportKind } from './choice.ts';

const KEY = 'nearlight-slow-transports';
/** After that the network may be another one. Milliseconds. */
export const DOUBT_MS = 60 * 60_000;

export class Doubts {
  private since: Partial<Record<TransportKind, number>> = {};

  /** `now` is milliseconds since 1970, as it outlives the page. */
  constructor(private readonly storage: () => Pick<Storage, 'getItem' | 'setItem'>, private readonly now: () => number) {
    try {
      const kept: unknown = JSON.parse(storage().getItem(KEY) ?? '{}');
      if (!isRecord(kept)) return;
      for (const kind of ['webrtc', 'webtransport', 'websocket'] as const) {
        const at = kept[kind];
        if (typeof at === 'number') this.since[kind] = at;
      }
    } catch {
      // What is there is nobody's, or nothing may be kept.
    }
  }

  has(kind: TransportKind): boolean {
    const at = this.since[kind];
    const age = at === undefined ? Number.POSITIVE_INFINITY : this.now() - at;
    return age >= 0 && age < DOUBT_MS;
  }

  add(kind: TransportKind): void {
    // One that is doubted was given no time, so that this says nothing new: it is tried again in its turn.
    if (this.has(kind)) return;
    this.since = { ...this.since, [kind]: this.now() };
    this.keep();
  }

  /** It can be had. */
  remove(kind: TransportKind): void {
    if (this.since[kind] === undefined) return;
    this.since = Object.fromEntries(Object.entries(this.since).filter(([other]) => other !== kind));
    this.keep();
  }

  private keep(): void {
    try {
      this.storage().setItem(KEY, JSON.stringify(this.since));
    } catch {
      // The next visit begins without.
    }
  }
}
