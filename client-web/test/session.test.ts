import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Api } from '../src/api.ts';
import type { Pipe } from '../src/input/sender.ts';
import type { ConnectionEvents, SessionConnection } from '../src/session/connection.ts';
import { GIVE_UP_MS, PICTURE_MS, PlaySession } from '../src/session/play.ts';
import type { PlayState } from '../src/session/state.ts';
import { clientNow, type Micros } from '../src/units.ts';
import type { ClientMessage, Session } from '../src/wire/index.ts';

const session = {
  id: 'a', app: 'demo', url: 'https://node.test/api/v1/sessions/a', whep_url: 'https://node.test/api/v1/sessions/a/whep', token: 'own', ice_servers: [],
} as unknown as Session;

const problem = (kind: string, status: number, headers: Record<string, string> = {}, detail?: string): Response =>
  Response.json({ type: `/problems/${kind}`, title: kind, status, detail }, { status, headers });

/** A peer that does what a test says; WebRTC itself is in browsers only. */
class FakeConnection implements SessionConnection {
  answered = false;
  closed = false;
  retired = false;
  readonly said: ClientMessage[] = [];

  constructor(readonly events: ConnectionEvents, private readonly log: string[], readonly name: string) {}

  async connect(_: Session, exchange: Parameters<SessionConnection['connect']>[1]): Promise<void> {
    await exchange('v=0');
    this.answered = true;
  }
  say(text: string): boolean {
    this.said.push(JSON.parse(text) as ClientMessage);
    return true;
  }
  stats(): Promise<RTCStatsReport> {
    return Promise.reject(new Error('a fake has none'));
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
    this.events.onTrack({} as MediaStreamTrack);
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
const pass = (milliseconds = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds);

type Respond = (method: string, path: string) => Response | undefined;

interface Scene {
  readonly play: PlaySession;
  readonly connections: FakeConnection[];
  /** Requests and closed connections in order. */
  readonly log: string[];
  readonly states: PlayState[];
  readonly picture: () => void;
  /** The newest connection. */
  readonly newest: () => FakeConnection;
}

function setUp(what: ConstructorParameters<typeof PlaySession>[1] = 'demo', respond: Respond = () => undefined): Scene {
  const [connections, log, states]: [FakeConnection[], string[], PlayState[]] = [[], [], []];
  const api = new Api(new URL('https://node.test/'), undefined, (url, init) => {
    const path = new URL(url as string).pathname.replace('/api/v1/', '');
    const method = init?.method ?? 'GET';
    log.push(`${method} ${path}`);
    const own = respond(method, path);
    if (own !== undefined) return Promise.resolve(own);
    if (method === 'DELETE') return Promise.resolve(new Response(null, { status: 204 }));
    return Promise.resolve(path.endsWith('whep') ? new Response('v=0', { status: 201 }) : Response.json(session, { status: 201 }));
  });
  const play = new PlaySession(api, what, { video: {}, barcode: false }, {
    onState: (state) => { states.push(state); },
    onTrack: () => undefined, onHello: () => undefined, onStats: () => undefined, onWarning: () => undefined, onInputReady: () => undefined,
  }, 7 as Micros, (events) => {
    const made = new FakeConnection(events, log, `connection ${connections.length + 1}`);
    connections.push(made);
    return made;
  });
  const picture = (): void => {
    play.progressed({ size: { width: 2, height: 2 }, rtp: undefined, decodedAt: clientNow(), presentedAt: clientNow(), presented: 1, reports: [] });
  };
  const newest = (): FakeConnection => {
    const last = connections.at(-1);
    if (last === undefined) throw new Error('no connection was made');
    return last;
  };
  return { play, connections, log, states, picture, newest };
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
