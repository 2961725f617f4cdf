// Which transport a session takes, and why. WebRTC is what every browser has, and the default. WebTransport
// saves the browser's jitter buffer, and needs WebCodecs, a canvas in a worker and an open UDP port: whether
// that is open is found out by trying, with a limit. Each takes over where the other cannot be had.
//
//   wish, abilities, node ──▶ webtransport ── did not connect, broke twice, cannot decode ──▶ webrtc
//                        └──▶ webrtc ── answered and brought no picture ──▶ webtransport
//                                                                   (until FORGIVE_MS have passed)
import type { VideoCodec } from '../quic/codec.ts';

export type TransportKind = 'webrtc' | 'webtransport';
/** What the address, or whoever plays, asks for. */
export type TransportWish = TransportKind | 'auto';

export interface Chosen {
  readonly kind: TransportKind;
  /** For people, and for the node's operator. */
  readonly reason: string;
}

/** What this browser can do by WebTransport. */
export interface Abilities {
  /** What is missing, in words; undefined where nothing is. */
  readonly lacks: string | undefined;
  readonly decodes: readonly VideoCodec[];
}

export const TITLES: Readonly<Record<TransportKind, string>> = { webrtc: 'WebRTC', webtransport: 'WebTransport' };

/**
 * How long WebTransport may take to connect, which is four round trips at most: after that, UDP to its port
 * counts as blocked, and WebRTC is tried. Milliseconds.
 */
const CONNECT_MS = 2_000;
/** The same for who asks for WebTransport. */
const PATIENT_MS = 10_000;
/** A connection that breaks this often within `BREAKS_MS` is not made again. */
const MOST_BREAKS = 2;
const BREAKS_MS = 60_000;
/** What failed may have been the network of that moment. */
export const FORGIVE_MS = 5 * 60_000;

/** What is taken where nothing speaks for the other: every browser has it, and nothing measured speaks for WebTransport yet. */
const DEFAULT: TransportKind = 'webrtc';

interface Failure {
  readonly reason: string;
  readonly at: number;
}

/** The choice of one page, which remembers what failed. It is told the time, in milliseconds. */
export class TransportChoice {
  private failures: Partial<Record<TransportKind, Failure>> = {};
  private breaks: readonly number[] = [];
  private byHand = false;

  /** `lacks` is what this browser is known to lack for WebTransport; undefined while it may have all. */
  constructor(private wish: TransportWish, private readonly lacks: string | undefined) {}

  /** Whether the next connection will be WebRTC's, whatever the node says. */
  isSettled(now: number): boolean {
    return this.lacks !== undefined || this.wish === 'webrtc' || (this.wanted === 'webrtc' && this.failureOf('webrtc', now) === undefined);
  }

  /** How long WebTransport may take to connect, milliseconds. */
  get limitMs(): number {
    return this.wish === 'webtransport' ? PATIENT_MS : CONNECT_MS;
  }

  choose({ lacks, decodes }: Abilities, node: { readonly offered: boolean; readonly hdr: boolean }, now: number): Chosen {
    const missing = this.lacks ?? lacks ?? (node.offered ? undefined : 'the node offers no WebTransport') ??
      // A canvas shows standard range (video/view.ts).
      (node.hdr ? 'high dynamic range is shown by a video element' : undefined) ?? this.failureOf('webtransport', now);
    const other = this.wish === 'auto' ? this.failureOf('webrtc', now) : undefined;
    if (missing === undefined && (this.wanted === 'webtransport' || other !== undefined)) {
      return { kind: 'webtransport', reason: `${other ?? this.why}; decodes ${decodes.join(', ')}` };
    }
    return { kind: 'webrtc', reason: this.wanted === 'webrtc' ? this.why : (missing ?? this.why) };
  }

  /** It could not be had. */
  failed(kind: TransportKind, reason: string, now: number): void {
    this.failures = { ...this.failures, [kind]: { reason: `${TITLES[kind]} ${reason}`, at: now } };
  }

  /** A connection that worked is over. */
  broke(kind: TransportKind, now: number): void {
    if (kind !== 'webtransport') return;
    this.breaks = [...this.breaks.filter((at) => now - at < BREAKS_MS), now];
    if (this.breaks.length >= MOST_BREAKS) this.failed(kind, `broke ${this.breaks.length} times within a minute`, now);
  }

  /** Whoever plays wants this one from now on. */
  prefer(kind: TransportKind): void {
    this.wish = kind;
    this.byHand = true;
    this.failures = {};
    this.breaks = [];
  }

  private get wanted(): TransportKind {
    return this.wish === 'auto' ? DEFAULT : this.wish;
  }

  private get why(): string {
    if (this.byHand) return 'chosen here';
    return this.wish === 'auto' ? 'the default' : 'the page’s address asks for it';
  }

  private failureOf(kind: TransportKind, now: number): string | undefined {
    const failure = this.failures[kind];
    return failure !== undefined && now - failure.at < FORGIVE_MS ? failure.reason : undefined;
  }
}

/** A transport that could not be had, which says nothing of the session. */
export class TransportFailed extends Error {
  override readonly name = 'TransportFailed';
  constructor(readonly kind: TransportKind, readonly reason: string) {
    super(`${TITLES[kind]} ${reason}`);
  }
}
