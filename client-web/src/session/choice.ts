// Which transport a session takes, and why. WebRTC is what every browser has. WebTransport saves the
// browser's jitter buffer and its wait for a compositor, and needs WebCodecs, a canvas in a worker and an
// open UDP port: whether that is open is found out by trying, with a limit.
//
//   wish, abilities, node ──▶ webtransport ── did not connect, broke twice, cannot decode ──▶ webrtc
//                        └──▶ webrtc                          (until FORGIVE_MS have passed)
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
export const CONNECT_MS = 1_000;
/** A connection that breaks this often within `BREAKS_MS` is not made again. */
const MOST_BREAKS = 2;
const BREAKS_MS = 60_000;
/** What failed may have been the network of that moment. */
export const FORGIVE_MS = 5 * 60_000;

/** The choice of one page, which remembers what failed. It is told the time, in milliseconds. */
export class TransportChoice {
  private failure: { readonly reason: string; readonly at: number } | undefined;
  private breaks: readonly number[] = [];
  private byHand = false;

  /** `lacks` is what this browser is known to lack for WebTransport; undefined while it may have all. */
  constructor(private wish: TransportWish, private readonly lacks: string | undefined) {}

  /** Whether it will be WebRTC, whatever the node says. */
  get isSettled(): boolean {
    return this.wish === 'webrtc' || this.lacks !== undefined;
  }

  choose({ lacks, decodes }: Abilities, node: { readonly offered: boolean; readonly hdr: boolean }, now: number): Chosen {
    const webrtc = (reason: string): Chosen => ({ kind: 'webrtc', reason });
    if (this.wish === 'webrtc') return webrtc(this.byHand ? 'chosen here' : 'the page’s address asks for it');
    const missing = this.lacks ?? lacks;
    if (missing !== undefined) return webrtc(missing);
    if (!node.offered) return webrtc('the node offers no WebTransport');
    // A canvas shows standard range (video/view.ts).
    if (node.hdr) return webrtc('high dynamic range is shown by a video element');
    if (this.failure !== undefined && now - this.failure.at < FORGIVE_MS) return webrtc(this.failure.reason);
    const why = this.byHand ? 'chosen here' : this.wish === 'auto' ? 'no jitter buffer between network and decoder' : 'the page’s address asks for it';
    return { kind: 'webtransport', reason: `${why}; decodes ${decodes.join(', ')}` };
  }

  /** It could not be had. */
  failed(kind: TransportKind, reason: string, now: number): void {
    if (kind === 'webtransport') this.failure = { reason: `WebTransport ${reason}`, at: now };
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
    this.failure = undefined;
    this.breaks = [];
  }
}

/** A transport that could not be had, which says nothing of the session. */
export class TransportFailed extends Error {
  override readonly name = 'TransportFailed';
  constructor(readonly kind: TransportKind, readonly reason: string) {
    super(`${TITLES[kind]} ${reason}`);
  }
}
