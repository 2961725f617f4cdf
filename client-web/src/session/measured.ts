// How soon coded pictures were on the screen by WebRTC and by WebTransport in sessions that were played here, which the next ones
// are to know: where WebTransport was sooner, it is wanted first (choice.ts). Figures lie in the browser's storage, for each
// node apart, or, without one, in the page.
//
//   the node's figures ── STRETCH_MS of play without a break ──▶ their median ── the newest, for KEPT_MS, of one size ──▶ the median of these
//
// None of the constants is measured: they say how much is to be known before something else than the default is taken.
import type { Stats } from '../wire/index.ts';
import { isRecord } from '../wire/control.ts';
import type { TransportKind } from './choice.ts';

const KEY = 'nearlight-measured-transports';

/** How much play one figure is of, milliseconds. */
export const STRETCH_MS = 20_000;
/** The node tells its figures four times a second. After a longer pause the page stood still, or the path. Milliseconds. */
const MOST_PAUSE_MS = 1_000;
/** Stretches of a transport that say something of it. */
const LEAST_STRETCHES = 3;
/** No more are kept of each, which are five minutes of play. */
export const MOST_STRETCHES = 15;
/** What is older was perhaps another network, browser or node. Milliseconds. */
export const KEPT_MS = 7 * 24 * 60 * 60_000;
/** WebTransport is better where it is sooner by more than this, milliseconds... */
const MARGIN_MS = 2;
/** ...and by more than this part of what WebRTC takes. */
const MARGIN_PART = 0.1;
/** No figure is that large: the node takes no reports of frames that left longer than four seconds ago. Milliseconds. */
const LIMIT_MS = 10_000;

/** How long these take is the scene's or the game's, whichever transport there is. */
const BEFORE: readonly string[] = ['capture', 'draw', 'convert', 'mailbox', 'encode'];

/** A WebSocket is the last resort, however soon its pictures come. */
type Compared = Exclude<TransportKind, 'websocket'>;

interface Figure {
  readonly ms: number;
  /** Of each coded picture. */
  readonly pixels: number;
  /** When that was, milliseconds since 1970. */
  readonly at: number;
}

/** How long coded pictures take to the screen, milliseconds. */
export type Comparison = Readonly<Record<Compared, number>>;

/**
 * How long coded pictures took to the screen, milliseconds: the whole as in the graph, the mean of the last seconds, less what comes
 * before the transport. Undefined where no picture is known to be shown.
 */
export function toScreen({ stages, mean_total: total }: Pick<Stats, 'stages' | 'mean_total'>): number | undefined {
  if (total == null) return undefined;
  return stages.reduce((rest, { stage, mean }) => (BEFORE.includes(stage) ? rest - (mean ?? 0) : rest), total);
}

/** What the size of a picture does to its way is not the transport's: only what has as many pixels is compared. */
export function pixelsOf({ coded }: Pick<Stats, 'coded'>): number {
  return coded.reduce((pixels, edge) => pixels * edge, 1);
}

/** Play by one connection, with pictures of one size, without a break. It is told the time, in milliseconds. */
export class Stretch {
  private by: object | undefined;
  private pixels = 0;
  private figures: number[] = [];
  private toldAt = 0;
  private playedMs = 0;

  /**
   * The node told this of play by this connection with pictures of so many pixels, or nothing while no picture moves; by none where
   * it is no play that counts.
   * Yields the median of a stretch that is whole; the next one begins then.
   */
  add(by: object | undefined, figure: number | undefined, pixels: number, now: number): number | undefined {
    const passed = now - this.toldAt;
    this.toldAt = now;
    if (by !== this.by || pixels !== this.pixels || passed > MOST_PAUSE_MS) this.begin(by, pixels);
    else if (by !== undefined && figure !== undefined) {
      this.figures.push(figure);
      this.playedMs += passed;
    }
    if (this.playedMs < STRETCH_MS) return undefined;
    const whole = median(this.figures);
    this.begin(by, pixels);
    return whole;
  }

  private begin(by: object | undefined, pixels: number): void {
    this.by = by;
    this.pixels = pixels;
    this.figures = [];
    this.playedMs = 0;
  }
}

export class Measured {
  private kept: Readonly<Record<Compared, readonly Figure[]>> = { webrtc: [], webtransport: [] };
  /** What the page knows was kept: other pages may know more. */
  private keeps = true;
  private readonly key: string;

  /** `node` is where its API is; `now` is milliseconds since 1970, as it outlives the page. */
  constructor(node: URL, private readonly storage: () => Pick<Storage, 'getItem' | 'setItem'>, private readonly now: () => number) {
    this.key = `${KEY} ${node.href}`;
    this.read();
  }

  /** A stretch of play took this, milliseconds, with pictures of so many pixels. */
  add(kind: TransportKind, ms: number, pixels: number): void {
    if (kind === 'websocket') return;
    // Other pages played, too, meanwhile.
    if (this.keeps) this.read();
    const figures = [...this.fresh(kind), { ms, pixels, at: this.now() }].slice(-MOST_STRETCHES);
    this.kept = { ...this.kept, [kind]: figures };
    try {
      this.storage().setItem(this.key, JSON.stringify(this.kept));
      this.keeps = true;
    } catch {
      // The next visit begins without.
      this.keeps = false;
    }
  }

  /** What both take with pictures as large as were played last, where it is known and WebTransport is better. */
  get better(): Comparison | undefined {
    const [byWebrtc, byWebtransport] = [this.fresh('webrtc'), this.fresh('webtransport')];
    const pixels = [...byWebrtc, ...byWebtransport].toSorted((one, other) => one.at - other.at).at(-1)?.pixels;
    const [webrtc, webtransport] = [byWebrtc, byWebtransport].map((figures) => typical(figures.filter((figure) => figure.pixels === pixels)));
    if (webrtc === undefined || webtransport === undefined) return undefined;
    const sooner = webrtc - webtransport;
    return sooner > MARGIN_MS && sooner > webrtc * MARGIN_PART ? { webrtc, webtransport } : undefined;
  }

  /** What the page knows stays where nothing is kept. */
  private read(): void {
    try {
      const kept: unknown = JSON.parse(this.storage().getItem(this.key) ?? 'null');
      if (isRecord(kept)) this.kept = { webrtc: figuresIn(kept['webrtc']), webtransport: figuresIn(kept['webtransport']) };
    } catch {
      // What is there is nobody's, or nothing may be kept.
    }
  }

  private fresh(kind: Compared): readonly Figure[] {
    const now = this.now();
    // A clock that was set back makes nothing new.
    return this.kept[kind].filter(({ at }) => now >= at && now - at < KEPT_MS);
  }
}

function figuresIn(list: unknown): readonly Figure[] {
  return Array.isArray(list) ? list.filter(isFigure).slice(-MOST_STRETCHES) : [];
}

function isFigure(value: unknown): value is Figure {
  if (!isRecord(value)) return false;
  const { ms, pixels, at } = value;
  return typeof ms === 'number' && ms >= 0 && ms < LIMIT_MS && typeof pixels === 'number' && typeof at === 'number';
}

function typical(figures: readonly Figure[]): number | undefined {
  return figures.length < LEAST_STRETCHES ? undefined : median(figures.map(({ ms }) => ms));
}

/** Of at least one; of an even number the mean of both in the middle. */
function median(values: readonly number[]): number {
  const half = values.length / 2;
  const middle = values.toSorted((one, other) => one - other).slice(Math.ceil(half) - 1, Math.floor(half) + 1);
  return middle.reduce((sum, value) => sum + value, 0) / middle.length;
}
