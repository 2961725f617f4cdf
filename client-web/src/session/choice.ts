// Which transport a session takes, and why. WebRTC is what nearly every browser has, and the default. WebTransport
// saves the browser's jitter buffer, and needs WebCodecs, a canvas in a worker and an open UDP port: whether
// that is open is found out by trying, with a limit; where it was measured better than WebRTC (measured.ts), it is wanted
// before that. A WebSocket passes wherever the page does, and is the last resort: what is late there holds up what comes
// after it. Those that can be had race, in this order (race.ts):
//
//   wish, figures, abilities, node ──▶ what is wished, or better ── head start ──▶ webrtc ──▶ webtransport ──▶ websocket
//
// What failed is left out until FORGIVE_MS have passed: WebRTC where it says so, or is connected and brings no picture, the
// others where they do not connect or cannot decode, WebTransport also where it breaks twice. What was merely slower than
// one that came after it gets no head start for a while (doubts.ts).
import type { VideoCodec } from '../quic/codec.ts';
import { Doubts } from './doubts.ts';
import type { Measured } from './measured.ts';
import type { Entrant } from './race.ts';

export type TransportKind = 'webrtc' | 'webtransport' | 'websocket';
/** Those that bring frames whole, for a decoder of ours. */
export type FrameTransport = Exclude<TransportKind, 'webrtc'>;
/** What the address, or whoever plays, asks for. */
export type TransportWish = TransportKind | 'auto';

export interface Chosen {
  readonly kind: TransportKind;
  /** For people, and for the node's operator. */
  readonly reason: string;
}

/** What this browser lacks for these, in words; undefined where it lacks nothing. */
export type Lacks = Readonly<Partial<Record<TransportKind, string | undefined>>>;

/** What this browser can do with frames that come whole. */
export interface Abilities {
  readonly lacks: Lacks;
  readonly decodes: readonly VideoCodec[];
}

/** What a node offers for a session. */
export interface Offered {
  readonly webtransport: boolean;
  readonly websocket: boolean;
  readonly hdr: boolean;
}

export const TITLES: Readonly<Record<TransportKind, string>> = { webrtc: 'WebRTC', webtransport: 'WebTransport', websocket: 'WebSocket' };
/** In the order in which they are taken. */
export const KINDS: readonly TransportKind[] = ['webrtc', 'webtransport', 'websocket'];

/**
 * How long WebTransport may take to connect, which is four round trips at most: after that, UDP to its port
 * counts as blocked, and the next one is tried. A WebSocket takes as many. Milliseconds.
 */
const CONNECT_MS = 2_000;
/** The same for who asks for it. */
const PATIENT_MS = 10_000;
/** A connection that breaks this often within `BREAKS_MS` is not made again. */
const MOST_BREAKS = 2;
const BREAKS_MS = 60_000;
/** What failed may have been the network of that moment. */
export const FORGIVE_MS = 5 * 60_000;

/**
 * What is taken where nothing speaks for another. In the bench WebTransport is better at connecting (1.5 against 23 ms) and in the
 * server's processor time (0.88 against 1.07 ms a megabit). WebRTC is, in what a player feels: captured → presented takes 9.5
 * against 13.6 ms (p50; p95 12.8 against 20.0), and 105 against 158 ms in a starved browser (README, Figures).
 */
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

  /** `lacks` is what this browser is known to lack; nothing while it may have all. */
  constructor(
    private wish: TransportWish,
    private readonly lacks: Lacks,
    private readonly measured: Measured,
    private readonly doubts = new Doubts(() => localStorage, () => Date.now()),
  ) {}

  /** Whether the next connection will be WebRTC's, whatever the node says. */
  isSettled(now: number): boolean {
    const first = this.order.find((kind) => (this.lacks[kind] ?? (kind === 'webrtc' ? this.failureOf(kind, now) : undefined)) === undefined);
    return this.isAlone || first === undefined || first === 'webrtc';
  }

  /** How long one that brings frames whole may take to connect, milliseconds. */
  limitMs(kind: FrameTransport): number {
    // There is nothing after a WebSocket.
    return this.wish === kind || kind === 'websocket' ? PATIENT_MS : CONNECT_MS;
  }

  choose(abilities: Abilities, node: Offered, now: number): Chosen {
    const first = this.order.find((kind) => this.obstacle(kind, abilities, node, now) === undefined);
    if (first !== undefined) return { kind: first, reason: this.reason(first, new Map(), abilities, node, now) };
    // What failed may do better the next time.
    const last = this.order.find((kind) => (this.lacks[kind] ?? abilities.lacks[kind]) === undefined && (kind === 'webrtc' || node[kind])) ?? DEFAULT;
    const obstacle = this.wanted === last ? undefined : this.obstacle(this.wanted, abilities, node, now);
    return { kind: last, reason: obstacle ?? this.why };
  }

  /** Whether something is left to try at once after one that brings frames whole could not be had. */
  hasMore(abilities: Abilities, node: Offered, now: number): boolean {
    return this.lacks.webrtc === undefined || this.order.some((kind) => this.obstacle(kind, abilities, node, now) === undefined);
  }

  /** Those that race, in order; `first` has begun, whatever speaks against it. */
  entrants(first: TransportKind, abilities: Abilities, node: Offered, now: number): readonly Entrant[] {
    const others = this.order.filter((kind) => kind !== first && this.obstacle(kind, abilities, node, now) === undefined);
    return [first, ...others].map((kind) => ({ kind, isDoubted: this.doubts.has(kind), isAsked: this.wish === kind }));
  }

  /** Why it is this one, where those that are `slow` were given so many milliseconds. */
  reason(kind: TransportKind, slow: ReadonlyMap<TransportKind, number>, abilities: Abilities, node: Offered, now: number): string {
    const before = this.order.slice(0, Math.max(this.order.indexOf(kind), 0));
    const obstacles = before.map((other) => this.obstacle(other, abilities, node, now) ?? this.slowness(other, slow.get(other)));
    const [wanted] = before;
    // One that the node answered late has had no time yet: it is in no doubt, and slower all the same.
    const other = wanted === undefined ? this.why : `${TITLES[wanted]} was not connected as soon`;
    const why = obstacles.filter((obstacle) => obstacle !== undefined).join(', ') || other;
    return kind === 'webrtc' ? why : `${why}; decodes ${abilities.decodes.join(', ')}`;
  }

  /** This one was connected first; those that are `slow` had been given their time. */
  won(kind: TransportKind, slow: Iterable<TransportKind>): void {
    this.doubts.remove(kind);
    for (const other of slow) this.doubts.add(other);
  }

  /** In a stretch of play by this one, coded pictures of so many pixels took so many milliseconds to the screen. */
  played(kind: TransportKind, ms: number, pixels: number, node: Offered): void {
    // Where a video element shows them there is no WebTransport, and other times are told than with a canvas.
    if (this.lacks.webtransport === undefined && !node.hdr) this.measured.add(kind, ms, pixels);
  }

  private slowness(kind: TransportKind, ms: number | undefined): string | undefined {
    if (ms === undefined) return undefined;
    return `${TITLES[kind]} did not connect ${this.doubts.has(kind) ? 'in time here before' : `within ${(ms / 1000).toFixed(1)} s`}`;
  }

  /** Whether something else than WebRTC can be had. */
  hasOther(abilities: Abilities, node: Offered, now: number): boolean {
    return this.order.some((kind) => kind !== 'webrtc' && this.obstacle(kind, abilities, node, now) === undefined);
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
    if (this.wish !== 'auto') return this.wish;
    return this.measured.better === undefined ? DEFAULT : 'webtransport';
  }

  /** A page whose address asks for WebRTC gets nothing else where there is WebRTC; every other wish gives way. */
  private get isAlone(): boolean {
    return this.wish === 'webrtc' && !this.byHand && this.lacks.webrtc === undefined;
  }

  private get order(): readonly TransportKind[] {
    return this.isAlone ? ['webrtc'] : [this.wanted, ...KINDS.filter((kind) => kind !== this.wanted)];
  }

  private get why(): string {
    if (this.byHand) return 'chosen here';
    if (this.wish !== 'auto') return 'the page’s address asks for it';
    const { better } = this.measured;
    if (better === undefined) return 'the default';
    return `measured here: coded pictures are on the screen after ${better.webtransport.toFixed(0)} ms, by WebRTC after ${better.webrtc.toFixed(0)}`;
  }

  private obstacle(kind: TransportKind, abilities: Abilities, node: Offered, now: number): string | undefined {
    if (kind === 'webrtc') return this.lacks.webrtc ?? (this.isAlone ? undefined : this.failureOf(kind, now));
    return this.lacks[kind] ?? abilities.lacks[kind] ?? (node[kind] ? undefined : `the node offers no ${TITLES[kind]}`) ??
      // A canvas shows standard range (video/view.ts).
      (node.hdr ? 'high dynamic range is shown by a video element' : undefined) ?? this.failureOf(kind, now);
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
