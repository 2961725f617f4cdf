// Makes a session's connections, each of the transport that is chosen for it.
import { ApiProblem } from '../api.ts';
import { decodableCodecs, lacksWebTransport } from '../platform.ts';
import type { VideoCodec } from '../quic/codec.ts';
import type { Session } from '../wire/index.ts';
import { TransportFailed, type Abilities, type Chosen, type TransportChoice, type TransportKind } from './choice.ts';
import type { ConnectionEvents, SessionConnection } from './connection.ts';
import { ConnectionLost } from './refusal.ts';

/** What makes connections. */
export interface Makers {
  readonly webrtc: (events: ConnectionEvents) => SessionConnection;
  /** One that may take `limitMs` to connect. */
  readonly webtransport: (events: ConnectionEvents, decodes: readonly VideoCodec[], limitMs: number) => SessionConnection;
  /** Begins with what a connection by WebTransport needs beside the node. */
  readonly prepare: () => void;
}

/** What this browser can do; asked once a page. */
let found: Promise<Abilities> | undefined;

async function findAbilities(): Promise<Abilities> {
  const lacks = lacksWebTransport();
  if (lacks !== undefined) return { lacks, decodes: [] };
  const decodes = await decodableCodecs();
  return { lacks: decodes.length === 0 ? 'WebCodecs decodes none of the codecs here' : undefined, decodes };
}

export class Transports {
  /** What the newest connection is, and why. */
  chosen: Chosen = { kind: 'webrtc', reason: '' };
  private known: Abilities = { lacks: 'not known yet', decodes: [] };

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
    return this.chosen.kind === 'webrtc' ? this.makers.webrtc(events) : this.makers.webtransport(events, this.known.decodes, this.choice.limitMs);
  }

  private next(session: Session | undefined): Chosen {
    const node = { offered: session?.webtransport != null, hdr: session?.video.hdr === true };
    return this.choice.choose(this.known, node, this.now());
  }

  /** A connection could not be had. Whether to try another one at once, by whichever transport then is chosen. */
  failed({ kind }: SessionConnection, error: unknown, session: Session | undefined): boolean {
    if (kind === 'webrtc') {
      // An offer that is refused, or an outage, says nothing of WebRTC; silence after an answer does.
      if (!(error instanceof ConnectionLost) || error.reason !== 'no-picture') return false;
      this.choice.failed(kind, 'brought no picture', this.now());
      return this.next(session).kind !== kind;
    }
    // What broke before its first picture is counted as broken.
    if (error instanceof ConnectionLost && error.reason === 'broken') return true;
    const reason = whyFailed(error);
    if (reason === undefined) return false;
    this.choice.failed(kind, reason, this.now());
    return true;
  }

  /** A connection that worked is over. */
  broke({ kind }: SessionConnection, cannot: TransportFailed | undefined): void {
    if (cannot === undefined) this.choice.broke(kind, this.now());
    else this.choice.failed(kind, cannot.reason, this.now());
  }

  /** Whoever plays wants this one. */
  prefer(kind: TransportKind): void {
    this.choice.prefer(kind);
  }
}

/** What was wrong with the transport; undefined where it was something else. */
function whyFailed(error: unknown): string | undefined {
  if (error instanceof TransportFailed) return error.reason;
  if (error instanceof ConnectionLost) return 'brought no picture';
  // The session is fine, as far as is known; its address for WebTransport was refused.
  if (error instanceof ApiProblem && error.reason === 'other') return `was refused: ${error.detail ?? error.title}`;
  return undefined;
}
