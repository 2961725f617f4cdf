import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Api } from '../src/api.ts';
import type { Pipe } from '../src/input/sender.ts';
import { FORGIVE_MS, TransportChoice, TransportFailed, type Abilities, type Lacks, type TransportKind, type TransportWish } from '../src/session/choice.ts';
import type { ConnectionEvents, SessionConnection, Signalling } from '../src/session/connection.ts';
import { offerDescriptor, type HeaderExtension } from '../src/session/extensions.ts';
import { leaveBehind, takeUp } from '../src/session/kept.ts';
import { GIVE_UP_MS, PICTURE_MS, PlaySession } from '../src/session/play.ts';
import { HEAD_START_MS } from '../src/session/race.ts';
import { CONNECT_MS } from '../src/session/refusal.ts';
import type { Taken } from '../src/session/events.ts';
import type { TicketLink } from '../src/settings.ts';
import type { PlayState } from '../src/session/state.ts';
import { Transports } from '../src/session/transports.ts';
import { clientNow, rtp, type Micros } from '../src/units.ts';
import type { Progress } from '../src/video/messages.ts';
import type { ClientMessage, Session } from '../src/wire/index.ts';

const session = {
  id: 'a', app: 'demo', url: 'https://node.test/api/v1/sessions/a', whep_url: 'https://node.test/api/v1/sessions/a/whep', token: 'own', ice_servers: [], video: { width: 2, height: 2, fps: 30, max_kbps: 1000, hdr: false },
} as unknown as Session;

const problem = (kind: string, status: number, headers: Record<string, string> = {}, detail?: string): Response =>
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
    if (this.kind === 'webrtc') this.events.onTrack({} as MediaStreamTrack);
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

let page: FakeDocument;
beforeEach(() => {
  vi.useFakeTimers();
  page = new FakeDocument();
  vi.stubGlobal('document', page);
  vi.stubGlobal('window', new EventTarget());
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Lets everything happen that is due within this time. */
const pass = async (milliseconds = 0): Promise<void> => {
  // An answer is read in more steps than one turn has.
  for (let turn = 0; turn < 4; turn += 1) await vi.advanceTimersByTimeAsync(0);
  await vi.advanceTimersByTimeAsync(milliseconds);
  for (let turn = 0; turn < 4; turn += 1) await vi.advanceTimersByTimeAsync(0);
};

type Respond = (method: string, path: string) => Response | undefined;

interface Scene {
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

/** A browser that has everything. */
const ABLE: Abilities = { lacks: {}, decodes: ['H264', 'VP8'] };

interface Means {
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
}

function setUp(what: ConstructorParameters<typeof PlaySession>[1] = 'demo', respond: Respond = () => undefined, { wish = 'webrtc', lacks = {}, abilities = ABLE, fails, refuses, waits = false, streamAt, left, reachable = () => true }: Means = {}): Scene {
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
  const transports = new Transports(new TransportChoice(wish, lacks), { webrtc: make('webrtc'), frames: (kind, events) => make(kind)(events), prepare: () => { prepared.push(log.length); } }, () => Promise.resolve(abilities));
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
  const play = new PlaySession(api, what, left, { video: {}, barcode: false }, {
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
async function start(scene: Scene): Promise<void> {
  scene.play.run().catch((error: unknown) => { throw error; });
  await pass();
}

/** Runs a session until it is live. */
async function live(scene: Scene): Promise<void> {
  await start(scene);
  scene.newest().open();
  scene.picture();
  await pass();
  expect(scene.play.state.name).toBe('live');
}

const hear = (scene: Scene): void => { scene.newest().events.onControl('{"type":"ping","id":1}'); };

describe('a session', () => {
  it('counts from the click', () => {
    expect(setUp().play.times.askedUs).toBe(7);
  });

  it('whose presenter fails is ended at the node, so that its place is free', async () => {
    const scene = setUp();
    await live(scene);
    scene.play.presenterStopped('no 2D context');
    await pass();
    expect(scene.play.state).toEqual({ name: 'ended', reason: 'presenter', detail: 'no 2D context' });
    expect(scene.newest().said).toContainEqual({ type: 'bye' });
    expect(scene.log.slice(-2)).toEqual(['DELETE sessions/a', 'connection 1 closed']);
  });

  it('that is spoken in goes on being so by the next connection, and not after that', async () => {
    const scene = setUp();
    await live(scene);
    const voice = { kind: 'audio' } as MediaStreamTrack;
    scene.play.speak(voice);
    scene.newest().events.onBroken();
    await pass();
    expect(scene.newest().spoken).toEqual([]);
    scene.newest().open();
    expect(scene.newest().spoken).toEqual([voice]);
    scene.play.speak(undefined);
    expect(scene.newest().spoken).toEqual([voice, undefined]);
    expect(scene.connections[0]?.spoken).toEqual([voice]);
  });

  it('that is lost is ended at the node', async () => {
    let up = true;
    const scene = setUp('demo', (_, path) => (up || !path.endsWith('whep') ? undefined : problem('internal', 500)));
    await live(scene);
    up = false;
    scene.newest().events.onBroken();
    await pass(GIVE_UP_MS + 10_000);
    expect(scene.play.state).toMatchObject({ name: 'ended', reason: 'lost' });
    expect(scene.log).toContain('DELETE sessions/a');
  });

  it('that the node ended is not ended again', async () => {
    const scene = setUp();
    await live(scene);
    scene.newest().events.onControl('{"type":"ended","reason":"idle"}');
    await pass();
    expect(scene.play.state).toEqual({ name: 'ended', reason: 'by-node', detail: 'idle' });
    expect(scene.log).not.toContain('DELETE sessions/a');
  });
});

describe('reconnecting', () => {
  it('closes the old connection only after the node has answered the new offer', async () => {
    const scene = setUp();
    await live(scene);
    scene.newest().events.onBroken();
    await pass();
    expect(scene.connections).toHaveLength(2);
    expect(scene.log.slice(-2)).toEqual(['POST sessions/a/whep', 'connection 1 closed']);
    expect(scene.connections[0]?.retired).toBe(true);
    scene.newest().open();
    scene.picture();
    await pass();
    expect(scene.play.state.name).toBe('live');
  });

  it('leaves the old connection open while the node cannot be asked', async () => {
    let up = true;
    const scene = setUp('demo', (_, path) => (up || !path.endsWith('whep') ? undefined : problem('internal', 500)));
    await live(scene);
    up = false;
    scene.newest().events.onBroken();
    await pass(GIVE_UP_MS / 3);
    expect(scene.connections.length).toBeGreaterThan(2);
    expect(scene.connections[0]?.closed).toBe(false);
    // Those that the node never knew leave nothing behind.
    expect(scene.connections.slice(1, -1).every(({ closed }) => closed)).toBe(true);
    scene.play.leave();
    await pass();
    expect(scene.connections.every(({ closed }) => closed)).toBe(true);
  });

  it('waits no longer than a few seconds when the node names a pause', async () => {
    let up = true;
    const scene = setUp('demo', (_, path) => (up || !path.endsWith('whep') ? undefined : problem('conflict', 409, { 'retry-after': '3600' })));
    await live(scene);
    up = false;
    scene.newest().events.onBroken();
    await pass(6_000);
    expect(scene.connections.length).toBeGreaterThan(2);
  });

  it('gives up when no picture comes for long enough', async () => {
    const scene = setUp();
    await live(scene);
    scene.newest().events.onBroken();
    for (let step = 0; step < 10; step += 1) {
      await pass(PICTURE_MS / 2);
      scene.newest().open();
    }
    expect(scene.play.state).toMatchObject({ name: 'ended', reason: 'lost' });
  });
});

describe('a path that falls silent', () => {
  it('is probed, shown as broken, and played on as soon as it is back', async () => {
    const scene = setUp('demo', undefined, { reachable: () => false });
    await live(scene);
    await pass(500);
    expect(scene.newest().probed).toBe(0);
    await pass(500);
    expect(scene.newest().probed).toBeGreaterThan(2);
    expect(scene.play.state.name).toBe('live');
    await pass(1_000);
    expect(scene.play.state).toEqual({ name: 'reconnecting', attempt: 1 });
    await pass(8_000);
    hear(scene);
    expect(scene.play.state.name).toBe('live');
    expect(scene.connections).toHaveLength(1);
  });

  it('is replaced once the node can be reached, and not before', async () => {
    let up = false;
    const scene = setUp('demo', undefined, { reachable: () => up });
    await live(scene);
    await pass(10_000);
    expect(scene.connections).toHaveLength(1);
    up = true;
    // Asked ten times a second, and given a tenth to mend by itself.
    await pass(250);
    expect(scene.connections).toHaveLength(2);
    scene.newest().open();
    scene.picture();
    await pass();
    expect(scene.play.state.name).toBe('live');
    expect(scene.connections[0]?.closed).toBe(true);
  });

  it('is not replaced when it is heard just after the node could be reached', async () => {
    let up = false;
    const scene = setUp('demo', undefined, { reachable: () => up });
    await live(scene);
    await pass(3_000);
    up = true;
    await pass(100);
    hear(scene);
    await pass(1_000);
    expect(scene.connections).toHaveLength(1);
  });

  it('is in doubt when the browser says that the network is back, and stays as it is when the node is heard', async () => {
    const scene = setUp();
    await live(scene);
    window.dispatchEvent(new Event('online'));
    expect(scene.newest().probed).toBe(1);
    await pass(50);
    hear(scene);
    await pass(500);
    expect(scene.connections).toHaveLength(1);
    expect(scene.states.map(({ name }) => name)).not.toContain('reconnecting');
    window.dispatchEvent(new Event('online'));
    await pass(400);
    expect(scene.connections).toHaveLength(2);
  });
});

describe('a page that is loaded again', () => {
  const resumable = { ...session, resume_ticket: 'next' };
  const answers: Respond = (method, path) => (method === 'POST' && (path === 'sessions' || path.endsWith('redeem')) ? Response.json(resumable, { status: 201 }) : undefined);
  let kept: Map<string, string>;
  beforeEach(() => {
    kept = new Map();
    vi.stubGlobal('sessionStorage', {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => { kept.set(key, value); },
      removeItem: (key: string) => { kept.delete(key); },
    });
  });

  it('takes its session up by the ticket that the page before left, which is gone from the tab then', async () => {
    const scene = setUp('demo', answers);
    await live(scene);
    window.dispatchEvent(new Event('pagehide'));
    await pass();
    expect(scene.log).not.toContain('DELETE sessions/a');
    expect(scene.newest().said).not.toContainEqual({ type: 'bye' });
    expect(scene.newest().closed).toBe(true);
    expect(takeUp('other')).toBeUndefined();
    window.dispatchEvent(new Event('pagehide'));
    leaveBehind('demo', { session: 'a', ticket: 'next' });
    const left = takeUp('demo');
    expect(left).toEqual({ session: 'a', ticket: 'next' });
    expect(kept.size).toBe(0);
    const again = setUp('demo', answers, { left: { session: 'a', ticket: 'next' } });
    await start(again);
    expect(again.log).toEqual(['POST sessions/a/redeem', 'POST sessions/a/whep']);
  });

  it('begins anew where its session is over, and ends what it leaves without a ticket', async () => {
    const gone: Respond = (_, path) => (path.endsWith('redeem') ? problem('ended-session', 410) : undefined);
    const scene = setUp('demo', gone, { left: { session: 'a', ticket: 'old' } });
    await live(scene);
    expect(scene.log.slice(0, 2)).toEqual(['POST sessions/a/redeem', 'POST sessions']);
    window.dispatchEvent(new Event('pagehide'));
    await pass();
    expect(scene.log).toContain('DELETE sessions/a');
    expect(kept.size).toBe(0);
  });

  it('takes a viewer’s place up, which needs its link no more', async () => {
    const place = 'https://node.test/api/v1/viewers/b';
    const joined = { ...session, id: 'b', url: place, whep_url: `${place}/whep`, role: 'spectator' };
    const shown = { ...joined, token: undefined };
    const viewer: Respond = (method, path) => {
      if (path === 'join') return Response.json(joined, { status: 201 });
      return method === 'GET' && path === 'viewers/b' ? Response.json(shown) : undefined;
    };
    const scene = setUp({ invitation: 'i' }, viewer);
    await live(scene);
    window.dispatchEvent(new Event('pagehide'));
    await pass();
    expect(scene.log).not.toContain('DELETE viewers/b');
    expect(scene.newest().closed).toBe(true);
    const left = takeUp('');
    expect(left).toEqual({ place, token: 'own' });
    expect(kept.size).toBe(0);
    const again = setUp({ place, token: 'own' }, viewer);
    await live(again);
    expect(again.log.slice(0, 2)).toEqual(['GET viewers/b', 'POST viewers/b/whep']);
    // And the page after that one.
    window.dispatchEvent(new Event('pagehide'));
    expect(takeUp('')).toEqual(left);
  });

  it('is told where a viewer’s place is gone', async () => {
    const gone = setUp({ place: 'https://node.test/api/v1/viewers/b', token: 'own' }, () => problem('ended-session', 410, {}, 'The player took the invitation back.'));
    await start(gone);
    expect(gone.play.state).toEqual({ name: 'ended', reason: 'by-node', detail: 'The player took the invitation back.' });
  });

  it('that finds nonsense in its storage begins anew', () => {
    for (const nonsense of ['{', 'null', '[]', '{"play":"demo"}', '{"play":"demo","session":1,"ticket":"t"}', '{"play":"demo","place":"p"}']) {
      kept.set('nearlight-session', nonsense);
      expect(takeUp('demo')).toBeUndefined();
    }
  });
});

describe('a hidden page', () => {
  it('waits for its first picture until it is seen', async () => {
    page.visibilityState = 'hidden';
    const scene = setUp();
    await start(scene);
    scene.newest().open();
    await pass(100 * PICTURE_MS);
    expect(scene.play.state).toEqual({ name: 'connecting', step: 'picture' });
    expect(scene.newest().said).toContainEqual({ type: 'visibility', visible: false });
    page.become('visible');
    expect(scene.newest().said).toContainEqual({ type: 'visibility', visible: true });
    await pass(PICTURE_MS - 1);
    scene.picture();
    await pass();
    expect(scene.play.state.name).toBe('live');
  });

  it('says that no picture came when none does after it is seen', async () => {
    page.visibilityState = 'hidden';
    const scene = setUp();
    await start(scene);
    scene.newest().open();
    await pass(PICTURE_MS * 2);
    page.become('visible');
    await pass(PICTURE_MS);
    expect(scene.play.state).toMatchObject({ name: 'refused', reason: 'no-media' });
  });

  it('outlives a break of its connection', async () => {
    const scene = setUp();
    await live(scene);
    page.become('hidden');
    scene.newest().events.onBroken();
    await pass();
    scene.newest().open();
    await pass(10 * GIVE_UP_MS);
    expect(scene.connections).toHaveLength(2);
    // Another one, long after the first.
    scene.newest().events.onBroken();
    await pass(1_000);
    expect(scene.connections).toHaveLength(3);
    scene.newest().open();
    await pass(10 * GIVE_UP_MS);
    page.become('visible');
    scene.picture();
    await pass();
    expect(scene.play.state.name).toBe('live');
  });
});

describe('a link', () => {
  const link = { session: 'a', ticket: 't' };
  const refused = async (answer: () => Response): Promise<PlayState> => {
    const scene = setUp(link, () => answer());
    await start(scene);
    return scene.play.state;
  };

  it.each(['used', 'expired', 'unknown'])('that is %s is told apart from a node that asks for a token', async (why) => {
    const state = await refused(() => problem('unauthorized', 401, {}, `the token is ${why}`));
    expect(state).toEqual({ name: 'refused', reason: 'link-used', detail: undefined });
  });

  it('to a session that nobody knows is as good as used', async () => {
    expect(await refused(() => problem('unknown-session', 404))).toMatchObject({ name: 'refused', reason: 'link-used' });
  });

  it('to a session that is over says so, and why', async () => {
    const state = await refused(() => problem('ended-session', 410, {}, 'The player ended the session.'));
    expect(state).toEqual({ name: 'ended', reason: 'by-node', detail: 'The player ended the session.' });
  });

  it('is not blamed when a node asks for a token', async () => {
    const scene = setUp('demo', () => problem('unauthorized', 401));
    await start(scene);
    expect(scene.play.state).toMatchObject({ name: 'refused', reason: 'unauthorized' });
  });
});

describe('the transport', () => {
  const address = { url: 'https://node.test:4433/wt/a?ticket=first', certificate_hashes: ['AA=='] };
  const offering = (method: string, path: string): Response | undefined =>
    method === 'POST' && path === 'sessions' ? Response.json({ ...session, webtransport: address }, { status: 201 }) : undefined;
  const asked = (means: Means = {}): Scene => setUp('demo', offering, { wish: 'webtransport', ...means });
  const kinds = ({ connections }: Scene): readonly TransportKind[] => connections.map(({ kind }) => kind);

  it('is WebTransport where browser and node have it, and both are told why', async () => {
    const scene = asked();
    await live(scene);
    expect(kinds(scene)).toEqual(['webtransport']);
    expect(scene.taken).toEqual([{ kind: 'webtransport', reason: expect.stringContaining('H264, VP8') as string, connectMs: 7 }]);
    expect(scene.newest().said).toContainEqual({ type: 'transport', kind: 'webtransport', reason: scene.taken[0]?.reason });
    // The address came with the session. The worker was not begun only when that was answered.
    expect(scene.log).toEqual(['POST sessions']);
    expect(scene.prepared).toEqual([0]);
  });

  it('has brought its picture also where that was decoded before the page heard of the connection', async () => {
    const streamAt = clientNow();
    await pass(100);
    const scene = asked({ streamAt });
    await start(scene);
    scene.newest().open();
    const soon = (streamAt + 1) as Micros;
    for (const before of [{ decodedAt: clientNow() }, { receivedAt: (streamAt - 1) as Micros, decodedAt: soon }]) {
      scene.picture(before);
      await pass();
      expect(scene.play.state).toEqual({ name: 'connecting', step: 'picture' });
    }
    scene.picture({ receivedAt: soon, decodedAt: soon });
    await pass();
    expect(scene.play.state.name).toBe('live');
  });

  it('counts its start in the order in which things come', async () => {
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => (now += 1));
    for (const scene of [asked(), asked({ wish: 'webrtc' })]) {
      await live(scene);
      const { askedUs, sessionUs, answeredUs, trackUs, firstDecodedUs, firstPresentedUs } = scene.play.times;
      const times = [askedUs, sessionUs, answeredUs, trackUs, firstDecodedUs, firstPresentedUs];
      expect(times).toEqual(times.toSorted((one, other) => Number(one) - Number(other)));
      expect(times).not.toContain(undefined);
    }
    vi.restoreAllMocks();
  });

  it.each([
    ['the node offers none', () => setUp('demo', undefined, { wish: 'webtransport' }), /node offers no WebTransport/],
    ['nothing speaks for another', () => asked({ wish: 'auto' }), /the default/],
    ['the browser lacks it', () => asked({ lacks: { webtransport: 'this browser has no WebTransport' } }), /browser has no WebTransport/],
    ['it decodes nothing by itself', () => asked({ abilities: { lacks: { webtransport: 'decodes nothing', websocket: 'decodes nothing' }, decodes: [] } }), /decodes nothing/],
    ['it was asked for', () => asked({ wish: 'webrtc' }), /address asks/],
    ['the picture has high range', () => setUp('demo', (method, path) => (method === 'POST' && path === 'sessions' ? Response.json({ ...session, video: { hdr: true }, webtransport: address }) : undefined), { wish: 'webtransport' }), /dynamic range/],
  ])('is WebRTC where %s', async (_, make, reason) => {
    const scene = make();
    await live(scene);
    expect(kinds(scene)).toEqual(['webrtc']);
    expect(scene.taken[0]?.reason).toMatch(reason);
  });

  it('falls back to WebRTC at once where UDP is blocked, and remembers that for a while', async () => {
    const scene = asked({ fails: 'did not connect within 1000 ms' });
    await start(scene);
    expect(kinds(scene)).toEqual(['webtransport', 'webrtc']);
    scene.newest().open();
    scene.picture();
    await pass();
    expect(scene.taken.map(({ kind, reason }) => [kind, reason])).toEqual([['webrtc', 'WebTransport did not connect within 1000 ms']]);
    scene.newest().events.onBroken();
    await pass(10);
    expect(scene.newest().kind).toBe('webrtc');
    scene.newest().open();
    scene.picture();
    for (let passed = 0; passed < FORGIVE_MS; passed += 1_000) {
      await pass(1_000);
      hear(scene);
    }
    scene.newest().events.onBroken();
    await pass(10);
    expect(scene.connections.slice(2).map(({ kind }) => kind)).toEqual(['webrtc', 'webtransport', 'webrtc']);
  });

  it('is kept when its path is lost with the network: that does not speak against it', async () => {
    let up = true;
    const scene = asked({ reachable: () => up });
    await live(scene);
    for (let round = 0; round < 4; round += 1) {
      up = false;
      await pass(3_000);
      up = true;
      await pass(300);
      scene.newest().open();
      scene.picture();
      await pass();
    }
    expect(scene.connections).toHaveLength(5);
    expect(scene.newest().kind).toBe('webtransport');
    // Alone it does.
    await pass(3_000);
    scene.newest().open();
    scene.picture();
    await pass(3_000);
    expect(scene.newest().kind).toBe('webrtc');
  });

  it('is WebTransport where the default answers and brings no picture', async () => {
    const scene = asked({ wish: 'auto' });
    await start(scene);
    scene.newest().open();
    await pass(PICTURE_MS);
    expect(kinds(scene)).toEqual(['webrtc', 'webtransport']);
    scene.newest().open();
    scene.picture();
    await pass();
    expect(scene.taken.at(-1)?.reason).toMatch(/^WebRTC brought no picture/);
  });

  it('is refused where none brings a picture', async () => {
    const scene = asked({ wish: 'auto', fails: 'did not connect' });
    await start(scene);
    await pass(HEAD_START_MS);
    expect(kinds(scene)).toEqual(['webrtc', 'webtransport']);
    expect(scene.connections.map(({ closed }) => closed)).toEqual([false, true]);
    // Nothing else is left to be tried.
    await pass(PICTURE_MS);
    expect(scene.play.state).toMatchObject({ name: 'refused', reason: 'no-media' });
  });

  const sockets = (method: string, path: string): Response | undefined =>
    method === 'POST' && path === 'sessions' ? Response.json({ ...session, webtransport: address, socket_url: 'https://node.test/api/v1/sessions/a/socket' }, { status: 201 }) : undefined;

  it('is a WebSocket where neither WebRTC nor WebTransport connects, and the node is told why', async () => {
    const scene = setUp('demo', sockets, { wish: 'auto', fails: 'did not connect' });
    await start(scene);
    await pass(HEAD_START_MS);
    expect(kinds(scene)).toEqual(['webrtc', 'webtransport', 'websocket']);
    expect(scene.connections.map(({ closed }) => closed)).toEqual([true, true, false]);
    expect(scene.log.filter((line) => line.endsWith('socket'))).toEqual(['POST sessions/a/socket']);
    scene.newest().open();
    scene.picture();
    await pass();
    expect(scene.play.state.name).toBe('live');
    const reason = 'WebRTC did not connect within 0.3 s, WebTransport did not connect; decodes H264, VP8';
    expect(scene.newest().said).toContainEqual({ type: 'transport', kind: 'websocket', reason });
    // It is made again after a break.
    scene.newest().events.onBroken();
    await pass(10);
    expect(scene.newest().kind).toBe('websocket');
    scene.play.leave();
  });

  it('is one at once after that, beside WebRTC, which is tried again and not waited for', async () => {
    const scene = setUp('demo', sockets, { wish: 'auto', fails: 'did not connect' });
    await start(scene);
    await pass(HEAD_START_MS);
    scene.newest().open();
    scene.picture();
    await pass();
    scene.newest().events.onBroken();
    await pass(10);
    expect(kinds(scene).slice(3)).toEqual(['webrtc', 'websocket']);
    scene.newest().open();
    scene.picture();
    await pass();
    expect(scene.taken.at(-1)).toMatchObject({ kind: 'websocket', reason: expect.stringMatching(/^WebRTC did not connect in time here before, /) as string });
    expect(scene.play.state.name).toBe('live');
  });

  it('is WebRTC where that is there before the next one, which costs nothing', async () => {
    const scene = setUp('demo', sockets, { wish: 'auto', waits: true });
    await start(scene);
    await pass(HEAD_START_MS);
    expect(kinds(scene)).toEqual(['webrtc', 'webtransport']);
    const [webrtc, webtransport] = scene.connections;
    webrtc?.open();
    expect([webrtc?.closed, webtransport?.closed]).toEqual([false, true]);
    scene.picture({ decodedAt: clientNow() });
    await pass(HEAD_START_MS * 2);
    expect(kinds(scene)).toEqual(['webrtc', 'webtransport']);
    expect(scene.taken).toEqual([{ kind: 'webrtc', reason: 'the default', connectMs: 7 }]);
    expect(scene.play.state.name).toBe('live');
    // Connections of one race say so to the node, and no other one says the same.
    const [of, with_] = scene.races;
    expect(of).toMatch(/^\d+$/);
    expect(with_).toBe(of);
    scene.play.leave();
    await pass();
    expect(scene.log).toContain('DELETE sessions/a');
  });

  it('is one at once where the browser says that WebRTC cannot connect', async () => {
    const scene = setUp('demo', sockets, { wish: 'auto', lacks: { webtransport: 'this browser has no WebTransport' } });
    await start(scene);
    scene.newest().events.onBroken(new TransportFailed('webrtc', 'did not connect'));
    await pass();
    expect(kinds(scene)).toEqual(['webrtc', 'websocket']);
    scene.play.leave();
  });

  it('is refused where a WebSocket breaks before its first picture', async () => {
    const scene = setUp('demo', sockets, { wish: 'websocket' });
    await start(scene);
    expect(kinds(scene)).toEqual(['websocket']);
    scene.newest().events.onBroken();
    await pass();
    expect(scene.play.state).toMatchObject({ name: 'refused', reason: 'no-media' });
  });

  it('may take its time where there is nothing else', async () => {
    const scene = asked({ wish: 'webrtc' });
    await start(scene);
    await pass(CONNECT_MS);
    expect(kinds(scene)).toEqual(['webrtc']);
    expect(scene.play.state.name).toBe('connecting');
    scene.play.leave();
  });

  it('falls back where the first connection brings no picture', async () => {
    const scene = asked();
    await start(scene);
    scene.newest().open();
    await pass(PICTURE_MS);
    expect(kinds(scene)).toEqual(['webtransport', 'webrtc']);
    expect(scene.play.state.name).toBe('connecting');
  });

  it('stays after a break, with a fresh address, and is given up after two', async () => {
    const scene = asked();
    await live(scene);
    scene.newest().events.onBroken();
    await pass(10);
    expect(kinds(scene)).toEqual(['webtransport', 'webtransport']);
    expect(scene.log.slice(1)).toEqual(['POST sessions/a/webtransport', 'connection 1 closed']);
    scene.newest().open();
    scene.picture();
    await pass();
    scene.newest().events.onBroken();
    await pass(10);
    expect(scene.newest().kind).toBe('webrtc');
    scene.newest().open();
    expect(scene.taken.at(-1)?.reason).toMatch(/broke 2 times/);
  });

  it('is given up at once where it cannot decode', async () => {
    const scene = asked();
    await live(scene);
    scene.newest().events.onBroken(new TransportFailed('webtransport', 'cannot be decoded here: no'));
    await pass(10);
    expect(scene.newest().kind).toBe('webrtc');
  });

  it('changes while the session plays on, and the old one is closed once the node knows the new one', async () => {
    const scene = asked();
    await live(scene);
    scene.log.splice(0);
    scene.play.switchTransport('webtransport');
    await pass();
    expect(scene.connections).toHaveLength(1);
    scene.play.switchTransport('webrtc');
    expect(scene.connections[0]?.retired).toBe(false);
    await pass();
    expect(scene.log).toEqual(['POST sessions/a/whep', 'connection 1 closed']);
    scene.newest().open();
    scene.picture();
    await pass();
    expect(scene.taken.at(-1)).toMatchObject({ kind: 'webrtc', reason: 'chosen here' });
    expect(scene.states.map(({ name }) => name)).not.toContain('reconnecting');
    expect(scene.play.state.name).toBe('live');
    scene.play.switchTransport('webtransport');
    await pass();
    expect(kinds(scene)).toEqual(['webtransport', 'webrtc', 'webtransport']);
  });

  it('goes on as before where a change fails', async () => {
    const scene = setUp('demo', offering, { wish: 'webrtc', fails: 'was refused' });
    await live(scene);
    scene.play.switchTransport('webtransport');
    await pass(10);
    expect(kinds(scene)).toEqual(['webrtc', 'webtransport', 'webrtc']);
    scene.newest().open();
    scene.picture();
    await pass();
    expect(scene.play.state.name).toBe('live');
    expect(scene.taken.at(-1)?.reason).toBe('WebTransport was refused');
  });
});

describe('acknowledgements', () => {
  it('go by the connection of now', async () => {
    const scene = setUp();
    const frame = { rtp: rtp(1), decodedAt: clientNow() };
    scene.play.decoded(frame);
    await start(scene);
    scene.play.decoded(frame);
    expect(scene.newest().acknowledged).toBe(1);
    scene.play.leave();
  });

  it('go by the connection before while the transport changes', async () => {
    const scene = setUp('demo', (method, path) => {
      const webtransport = { url: 'https://node.test:4433/wt/a?ticket=first', certificate_hashes: ['AA=='] };
      return method === 'POST' && path === 'sessions' ? Response.json({ ...session, webtransport }, { status: 201 }) : undefined;
    });
    await live(scene);
    scene.play.switchTransport('webtransport');
    for (let turn = 0; scene.connections.length < 2 && turn < 10; turn += 1) await Promise.resolve();
    const decoded = (): void => { scene.play.decoded({ rtp: rtp(1), decodedAt: clientNow() }); };
    decoded();
    expect(scene.connections.map(({ kind, acknowledged }) => [kind, acknowledged])).toEqual([['webrtc', 1], ['webtransport', 0]]);
    await pass();
    decoded();
    expect(scene.connections.map(({ acknowledged }) => acknowledged)).toEqual([1, 1]);
    scene.play.leave();
  });
});

describe('the offer', () => {
  const descriptor = 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension';
  it('names the descriptor where the browser knows it, and leaves the rest as it is', () => {
    const set = vi.fn();
    const others: HeaderExtension[] = [{ uri: 'a', direction: 'stopped' }, { uri: 'b', direction: 'sendrecv' }];
    offerDescriptor({ getHeaderExtensionsToNegotiate: () => [...others, { uri: descriptor, direction: 'stopped' }], setHeaderExtensionsToNegotiate: set });
    expect(set.mock.calls).toEqual([[[...others, { uri: descriptor, direction: 'sendrecv' }]]]);
    offerDescriptor({ getHeaderExtensionsToNegotiate: () => others, setHeaderExtensionsToNegotiate: set });
    offerDescriptor({});
    expect(set).toHaveBeenCalledTimes(1);
  });
});
