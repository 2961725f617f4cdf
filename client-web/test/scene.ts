/** What tests of a session share: a page, a node that answers, connections that do as they are told. */
import { afterEach, beforeEach, expect, vi } from 'vitest';
import { Api } from '../src/api.ts';
import type { Pipe } from '../src/input/sender.ts';
import { TransportChoice, TransportFailed, type Abilities, type Lacks, type TransportKind, type TransportWish } from '../src/session/choice.ts';
import type { ConnectionEvents, SessionConnection, Signalling } from '../src/session/connection.ts';
import { Measured } from '../src/session/measured.ts';
import { PlaySession } from '../src/session/play.ts';
import type { Taken } from '../src/session/events.ts';
import type { TicketLink } from '../src/settings.ts';
import type { PlayState } from '../src/session/state.ts';
import { Transports } from '../src/session/transports.ts';
import { clientNow, type Micros } from '../src/units.ts';
import type { Progress } from '../src/video/messages.ts';
import type { ClientMessage, Session } from '../src/wire/index.ts';

export const session = {
  id: 'a', app: 'demo', url: 'https://node.test/api/v1/sessions/a', whep_url: 'https://node.test/api/v1/sessions/a/whep', token: 'own', ice_servers: [], video: { width: 2, height: 2, fps: 30, max_kbps: 1000, hdr: false },
} as unknown as Session;

export const problem = (kind: string, status: number, headers: Record<string, string> = {}, detail?: string): Response =>
  Response.json({ type: `/problems/${kind}`, title: kind, status, detail }, { status, headers });

/** A peer that does what a test says; WebRTC itself is in browsers only. */
class FakeConnection implements SessionConnection {
  readonly connectMs = 7;
  /** Why it cannot be had; WebTransport only. */
  fails: string | undefined;
  answered = false;
  closed = false;
  retired = false;
  acknowledged = 0;
  /** Since when pictures come; now, where nothing is said. */
  streamAt: Micros | undefined;
  waits = false;
  races: string[] = [];
  probed = 0;
  readonly said: ClientMessage[] = [];
  readonly spoken: (MediaStreamTrack | undefined)[] = [];

  constructor(readonly events: ConnectionEvents, private readonly log: string[], readonly name: string, readonly kind: TransportKind) {}

  async connect(node: Signalling): Promise<void> {
    if (this.kind === 'webrtc') {
      await node.offer('v=0');
    } else {
      const { url } = await (this.kind === 'websocket' ? node.webSocket() : node.webTransport());
      const race = new URL(url).searchParams.get('race');
      if (race !== null) this.races.push(race);
      // For good: its handshake takes longer than a test.
      if (this.waits) await new Promise(() => undefined);
      if (this.fails !== undefined) throw new TransportFailed(this.kind, this.fails);
      this.events.onStream(this.streamAt ?? clientNow());
    }
    this.answered = true;
  }
  say(text: string): boolean {
    this.said.push(JSON.parse(text) as ClientMessage);
    return true;
  }
  acknowledge(): void {
    this.acknowledged += 1;
  }
  speak(track: MediaStreamTrack | undefined): Promise<void> {
    this.spoken.push(track);
    return Promise.resolve();
  }
  probe(): void {
    this.probed += 1;
  }
  averages(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
  stats(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
  retire(): void {
    this.retired = true;
  }
  close(): void {
    if (!this.closed) this.log.push(`${this.name} closed`);
    this.closed = true;
  }
  /** Its channels open and its track comes. */
  open(): void {
    const pipe = (): Pipe & RTCDataChannel =>
      ({ readyState: 'open', bufferedAmount: 0, bufferedAmountLowThreshold: 0, onbufferedamountlow: null, send: () => undefined }) as unknown as Pipe & RTCDataChannel;
    if (this.kind === 'webrtc') this.events.onBrings(() => { this.events.onTrack({} as MediaStreamTrack); });
    this.events.onInputReady(pipe(), pipe());
  }
}

class FakeDocument extends EventTarget {
  visibilityState: DocumentVisibilityState = 'visible';
  become(state: DocumentVisibilityState): void {
    this.visibilityState = state;
    this.dispatchEvent(new Event('visibilitychange'));
  }
}

/** The page that the test of now runs on. */
export let page: FakeDocument;

/** How long it stood still. */
let stood = 0;

/** Gives each test of a file a page of its own, whose time the test lets pass. */
export function onAPage(): void {
  beforeEach(() => {
    vi.useFakeTimers();
    stood = 0;
    const now = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => now() + stood);
    page = new FakeDocument();
    vi.stubGlobal('document', page);
    vi.stubGlobal('window', new EventTarget());
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });
}

/** Lets everything happen that is due within this time. */
export const pass = async (milliseconds = 0): Promise<void> => {
  // An answer is read in more steps than one turn has.
  for (let turn = 0; turn < 4; turn += 1) await vi.advanceTimersByTimeAsync(0);
  await vi.advanceTimersByTimeAsync(milliseconds);
  for (let turn = 0; turn < 4; turn += 1) await vi.advanceTimersByTimeAsync(0);
};

/** The page stands still for so long: its clock goes on, and nothing that is due happens. */
export const standStill = (milliseconds: number): void => { stood += milliseconds; };

export type Respond = (method: string, path: string) => Response | undefined;

export interface Scene {
  readonly play: PlaySession;
  readonly connections: FakeConnection[];
  /** Requests and closed connections in order. */
  readonly log: string[];
  readonly states: PlayState[];
  readonly taken: Taken[];
  /** The races that connections said they are of. */
  readonly races: string[];
  /** How many requests had been made when WebTransport was prepared. */
  readonly prepared: number[];
  /** One is shown that came by the newest connection, or one with these times. */
  readonly picture: (of?: Pick<Progress, 'receivedAt' | 'decodedAt'>) => void;
  /** The newest connection. */
  readonly newest: () => FakeConnection;
}

/** What play measures, where nothing can be kept of it. */
export const unkept = (): Measured => new Measured(new URL('https://node.test/'), () => { throw new Error('no storage'); }, () => Date.now());

/** A browser that has everything. */
const ABLE: Abilities = { lacks: {}, decodes: ['H264', 'VP8'] };

export interface Means {
  readonly wish?: TransportWish;
  readonly lacks?: Lacks;
  readonly abilities?: Abilities;
  /** Why WebTransport cannot be had. */
  readonly fails?: string;
  /** The same of a WebSocket. */
  readonly refuses?: string;
  /** WebTransport is not there before a test says so. */
  readonly waits?: boolean;
  /** Since when its pictures come. */
  readonly streamAt?: Micros;
  /** What the page before left. */
  readonly left?: TicketLink;
  /** Whether the network is up. */
  readonly reachable?: () => boolean;
  /** What was measured of transports before. */
  readonly measured?: Measured;
  /** Takes no silence for a path that is gone. */
  readonly patient?: boolean;
}

export function setUp(what: ConstructorParameters<typeof PlaySession>[1] = 'demo', respond: Respond = () => undefined, { wish = 'webrtc', lacks = {}, abilities = ABLE, fails, refuses, waits = false, streamAt, left, reachable = () => true, measured = unkept(), patient = false }: Means = {}): Scene {
  const [connections, log, states, taken, prepared]: [FakeConnection[], string[], PlayState[], Taken[], number[]] = [[], [], [], [], []];
  const races: string[] = [];
  const make = (kind: TransportKind) => (events: ConnectionEvents): FakeConnection => {
    const made = new FakeConnection(events, log, `connection ${connections.length + 1}`, kind);
    made.fails = kind === 'websocket' ? refuses : fails;
    made.streamAt = streamAt;
    made.waits = waits;
    made.races = races;
    connections.push(made);
    return made;
  };
  const transports = new Transports(new TransportChoice(wish, lacks, measured), { webrtc: make('webrtc'), frames: (kind, events) => make(kind)(events), prepare: () => { prepared.push(log.length); } }, () => Promise.resolve(abilities));
  const api = new Api(new URL('https://node.test/'), undefined, (url, init) => {
    const path = new URL(url as string).pathname.replace('/api/v1/', '');
    const method = init?.method ?? 'GET';
    // A page that knocks.
    if (method === 'HEAD') return reachable() ? Promise.resolve(new Response()) : Promise.reject(new TypeError('no network'));
    log.push(`${method} ${path}`);
    const race = new Headers(init?.headers).get('nearlight-race');
    if (race !== null) races.push(race);
    const own = respond(method, path);
    if (own !== undefined) return Promise.resolve(own);
    if (method === 'DELETE') return Promise.resolve(new Response(null, { status: 204 }));
    if (path.endsWith('webtransport')) return Promise.resolve(Response.json({ url: 'https://node.test:4433/wt/a?ticket=b', certificate_hashes: [] }, { status: 201 }));
    if (path.endsWith('socket')) return Promise.resolve(Response.json({ url: 'wss://node.test/api/v1/sessions/a/socket?ticket=b' }));
    return Promise.resolve(path.endsWith('whep') ? new Response('v=0', { status: 201 }) : Response.json(session, { status: 201 }));
  });
  const play = new PlaySession(api, what, left, { video: {}, barcode: false, patient }, {
    onSession: () => undefined, onState: (state) => { states.push(state); },
    onTrack: () => undefined, onSound: () => undefined, onSpeechFailed: () => undefined, onTransport: (of) => { taken.push(of); }, onHello: () => undefined, onStats: () => undefined, onCursor: () => undefined, onPointer: () => undefined, onStarting: () => undefined, onRumble: () => undefined, onPadEffects: () => undefined, onCopied: () => undefined, onWarning: () => undefined, onLease: () => undefined, onInputReady: () => undefined,
  }, 7 as Micros, transports);
  const picture = (of: Pick<Progress, 'receivedAt' | 'decodedAt'> = newest().kind === 'webrtc' ? { decodedAt: clientNow() } : { receivedAt: clientNow(), decodedAt: clientNow() }): void => {
    play.progressed({ size: { width: 2, height: 2 }, rtp: undefined, ...of, presentedAt: clientNow(), presented: 1, reports: [] });
  };
  const newest = (): FakeConnection => {
    const last = connections.at(-1);
    if (last === undefined) throw new Error('no connection was made');
    return last;
  };
  return { play, connections, log, states, taken, races, prepared, picture, newest };
}

/** Runs a session until it waits for something. */
export async function start(scene: Scene): Promise<void> {
  scene.play.run().catch((error: unknown) => { throw error; });
  await pass();
}

/** Runs a session until it is live. */
export async function live(scene: Scene): Promise<void> {
  await start(scene);
  scene.newest().open();
  scene.picture();
  await pass();
  expect(scene.play.state.name).toBe('live');
}

export const hear = (scene: Scene): void => { scene.newest().events.onControl('{"type":"ping","id":1}'); };
