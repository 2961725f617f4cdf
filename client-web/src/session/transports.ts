// Makes a session's connections, each of the transport that is chosen for it.
import { ApiProblem } from '../api.ts';
import { decodableCodecs, lacks } from '../platform.ts';
import type { VideoCodec } from '../quic/codec.ts';
import type { Session, Stats } from '../wire/index.ts';
import { TransportFailed, type Abilities, type Chosen, type FrameTransport, type Offered, type TransportChoice, type TransportKind } from './choice.ts';
import type { ConnectionEvents, SessionConnection } from './connection.ts';
import { pixelsOf, Stretch, toScreen } from './measured.ts';
import { Race } from './race.ts';
import { CONNECT_MS, ConnectionLost } from './refusal.ts';

/** What makes connections. */
export interface Makers {
  readonly webrtc: (events: ConnectionEvents) => SessionConnection;
  /** One that brings frames whole and may take `limitMs` to connect. */
  readonly frames: (kind: FrameTransport, events: ConnectionEvents, decodes: readonly VideoCodec[], limitMs: number) => SessionConnection;
  /** Begins with what such a connection needs beside the node. */
  readonly prepare: () => void;
}

/** What this browser can do; asked once a page. */
let found: Promise<Abilities> | undefined;

async function findAbilities(): Promise<Abilities> {
  const known = lacks();
  // Whatever else there is, without WebCodecs there is no WebSocket either.
  if (known.websocket !== undefined) return { lacks: known, decodes: [] };
  const decodes = await decodableCodecs();
  const none = 'WebCodecs decodes none of the codecs here';
  return { lacks: decodes.length === 0 ? { ...known, webtransport: none, websocket: none } : known, decodes };
}

const NOT_YET = 'not known yet';

export class Transports {
  /** What the newest connection is, and why. */
  chosen: Chosen = { kind: 'webrtc', reason: '' };
  private readonly stretch = new Stretch();
  private known: Abilities = { lacks: { webtransport: NOT_YET, websocket: NOT_YET }, decodes: [] };

  constructor(
    private readonly choice: TransportChoice,
    private readonly makers: Makers,
    private readonly abilities: () => Promise<Abilities> = () => (found ??= findAbilities()),
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Whether the first connection can be made before the node is asked. */
  get isSettled(): boolean {
    return this.choice.isSettled(this.now());
  }

  /** Until then connections are WebRTC's. */
  async ready(): Promise<void> {
    if (!this.isSettled) this.makers.prepare();
    this.known = await this.abilities();
  }

  /** The next connection; before there is a session it is WebRTC's. */
  make(session: Session | undefined, events: ConnectionEvents): SessionConnection {
    this.chosen = this.next(session);
    return this.open(this.chosen.kind, events);
  }

  /** One of this kind. */
  open(kind: TransportKind, events: ConnectionEvents): SessionConnection {
    return kind === 'webrtc' ? this.makers.webrtc(events) : this.makers.frames(kind, events, this.known.decodes, this.choice.limitMs(kind));
  }

  /** A race that this one begins. */
  race({ kind }: SessionConnection, session: Session | undefined): Race {
    return new Race(this.choice.entrants(kind, this.known, offered(session), this.now()));
  }

  /** This one was connected first, or is all that is left. */
  won({ kind }: SessionConnection, race: Race, session: Session | undefined): void {
    const now = this.now();
    const slow = race.slowerThan(kind, now);
    // Before it is known of those that they were slow: the reason tells what they did this time.
    if (race.hasOthers) this.chosen = { kind, reason: this.choice.reason(kind, slow, this.known, offered(session), now) };
    this.choice.won(kind, slow.keys());
  }

  private next(session: Session | undefined): Chosen {
    return this.choice.choose(this.known, offered(session), this.now());
  }

  /** Whether a connection by WebRTC that does not come about leaves something to try. */
  hasOther({ kind }: SessionConnection, session: Session | undefined): boolean {
    return kind === 'webrtc' && this.choice.hasOther(this.known, offered(session), this.now());
  }

  /** A connection could not be had. Whether to try another one at once, by whichever transport then is chosen. */
  failed({ kind }: SessionConnection, error: unknown, session: Session | undefined): boolean {
    if (kind === 'webrtc') {
      // An offer that is refused, or an outage, says nothing of WebRTC; silence after an answer does.
      if (error instanceof TransportFailed) {
        this.choice.failed(kind, error.reason, this.now());
        return this.next(session).kind !== kind;
      }
      if (!(error instanceof ConnectionLost)) return false;
      if (error.reason === 'no-picture') this.choice.failed(kind, 'brought no picture', this.now());
      if (error.reason === 'no-connection') this.choice.failed(kind, `did not connect within ${CONNECT_MS / 1000} s`, this.now());
      // One that broke may have said before that it cannot connect.
      return this.next(session).kind !== kind;
    }
    // What broke before its first picture is counted as broken. After a WebSocket there is nothing, unless another one was
    // asked for meanwhile.
    if (error instanceof ConnectionLost && error.reason === 'broken') return kind !== 'websocket' || this.next(session).kind !== kind;
    const reason = whyFailed(error);
    if (reason === undefined) return false;
    this.choice.failed(kind, reason, this.now());
    return this.choice.hasMore(this.known, offered(session), this.now());
  }

  /** A connection that worked is over. */
  broke({ kind }: SessionConnection, cannot: TransportFailed | undefined): void {
    if (cannot === undefined) this.choice.broke(kind, this.now());
    else this.choice.failed(kind, cannot.reason, this.now());
  }

  /** The node told how it goes by this connection; by none, where it is no play that somebody sees. */
  told(stats: Stats, connection: SessionConnection | undefined, session: Session | undefined): void {
    // A browser without time says nothing of a transport.
    const by = stats.rate.limited_by === 'client' ? undefined : connection;
    const pixels = pixelsOf(stats);
    const ms = this.stretch.add(by, toScreen(stats), pixels, this.now());
    if (by !== undefined && ms !== undefined) this.choice.played(by.kind, ms, pixels, offered(session));
  }

  /** Whoever plays wants this one. */
  prefer(kind: TransportKind): void {
    this.choice.prefer(kind);
  }
}

function offered(session: Session | undefined): Offered {
  return { webtransport: session?.webtransport != null, websocket: session?.socket_url != null, hdr: session?.video.hdr === true };
}

/** What was wrong with the transport; undefined where it was something else. */
function whyFailed(error: unknown): string | undefined {
  if (error instanceof TransportFailed) return error.reason;
  if (error instanceof ConnectionLost) return 'brought no picture';
  // The session is fine, as far as is known; its address for this transport was refused.
  if (error instanceof ApiProblem && error.reason === 'other') return `was refused: ${error.detail ?? error.title}`;
  return undefined;
}
