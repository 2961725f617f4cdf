import { describe, expect, it, vi } from 'vitest';
import { FORGIVE_MS, TransportFailed, type TransportKind } from '../src/session/choice.ts';
import { offerDescriptor, type HeaderExtension } from '../src/session/extensions.ts';
import { STRETCH_MS } from '../src/session/measured.ts';
import { PICTURE_MS } from '../src/session/play.ts';
import { HEAD_START_MS } from '../src/session/race.ts';
import { CONNECT_MS } from '../src/session/refusal.ts';
import { clientNow, rtp, type Micros } from '../src/units.ts';
import type { Stats } from '../src/wire/index.ts';
import { hear, live, onAPage, page, pass, session, setUp, start, unkept, type Means, type Scene } from './scene.ts';

onAPage();

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

  it('changes while the session plays on, and the old one is closed once the node is connected with the new one', async () => {
    const scene = asked();
    await live(scene);
    scene.log.splice(0);
    scene.play.switchTransport('webtransport');
    await pass();
    expect(scene.connections).toHaveLength(1);
    scene.play.switchTransport('webrtc');
    expect(scene.connections[0]?.retired).toBe(false);
    await pass();
    expect(scene.log).toEqual(['POST sessions/a/whep']);
    scene.newest().open();
    expect(scene.log).toEqual(['POST sessions/a/whep', 'connection 1 closed']);
    scene.picture();
    await pass();
    expect(scene.taken.at(-1)).toMatchObject({ kind: 'webrtc', reason: 'chosen here' });
    expect(scene.states.map(({ name }) => name)).not.toContain('reconnecting');
    expect(scene.play.state.name).toBe('live');
    scene.play.switchTransport('webtransport');
    await pass();
    expect(kinds(scene)).toEqual(['webtransport', 'webrtc', 'webtransport']);
  });

  it('plays on by the old one, whose frames it acknowledges, while WebRTC does not connect, and until something else does', async () => {
    const scene = asked();
    await live(scene);
    const [old] = scene.connections;
    scene.play.switchTransport('webrtc');
    await pass();
    const tried = scene.newest();
    // It is answered, and that is all.
    let shown = 0;
    tried.events.onBrings(() => { shown += 1; });
    await pass(CONNECT_MS - 1);
    scene.play.decoded({ rtp: rtp(1), decodedAt: clientNow() });
    expect([old?.closed, old?.acknowledged, tried.acknowledged, shown]).toEqual([false, 1, 0, 0]);
    // What the node says by it is heard, and answered by it.
    old?.events.onControl('{"type":"ping","id":1}');
    expect(old?.said.at(-1)).toMatchObject({ type: 'pong', id: 1 });
    expect([old?.retired, tried.said]).toEqual([false, []]);
    await pass(10);
    expect(kinds(scene)).toEqual(['webtransport', 'webrtc', 'webtransport']);
    expect([old?.closed, tried.closed, shown]).toEqual([true, true, 0]);
    scene.newest().open();
    scene.picture();
    await pass();
    expect(scene.taken.at(-1)?.reason).toMatch(/WebRTC did not connect within 6 s/);
    expect(scene.states.map(({ name }) => name)).not.toContain('reconnecting');
    expect(scene.play.state.name).toBe('live');
  });

  it('changes also where the page hears of its new connection after the node has closed the old one', async () => {
    const scene = asked();
    await live(scene);
    const [old] = scene.connections;
    scene.play.switchTransport('webrtc');
    await pass();
    let shown = 0;
    scene.newest().events.onBrings(() => { shown += 1; });
    old?.events.onBroken();
    await pass(10);
    expect([old?.closed, shown]).toEqual([true, 1]);
    scene.newest().open();
    scene.picture();
    await pass();
    expect(kinds(scene)).toEqual(['webtransport', 'webrtc']);
    expect(scene.states.map(({ name }) => name)).not.toContain('reconnecting');
    expect(scene.play.state.name).toBe('live');
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

describe('what is measured of transports', () => {
  const stage = (name: string, mean: number): Stats['stages'][number] => ({ stage: name, ms: { p50: mean, p95: mean, p99: mean }, mean });
  const stats = (toScreen: number, limitedBy: Stats['rate']['limited_by'], coded: number[]): Stats => ({
    fps: 60, kbps: 8000, target_kbps: 10000, coded, internal: [2, 2], unchanged: 0, dropped: 0, keyframes: 1, input_dropped: 0, viewers: { co_players: 0, spectators: 0 },
    rate: { path: 'clear', limited_by: limitedBy, queue_ms: 0, arrives_kbps: 7900, frame_rate: 1, size: 1, size_changes: 0 }, stages: [stage('draw', 8), stage('network', toScreen)], mean_total: 8 + toScreen,
  });
  /** The node tells how it goes, for three stretches of play. */
  const plays = async (scene: Scene, toScreen: number, limitedBy: Stats['rate']['limited_by'] = 'ceiling', coded = [1280, 720]): Promise<void> => {
    for (let passed = 0; passed <= STRETCH_MS * 3; passed += 250) {
      await pass(250);
      scene.newest().events.onControl(JSON.stringify({ type: 'stats', ...stats(toScreen, limitedBy, coded) }));
    }
  };
  const offering = (method: string, path: string): Response | undefined =>
    method === 'POST' && path === 'sessions' ? Response.json({ ...session, webtransport: { url: 'https://node.test:4433/wt/a?ticket=first', certificate_hashes: ['AA=='] } }, { status: 201 }) : undefined;

  it('is what play took that somebody saw, and the next session begins by it', async () => {
    const measured = unkept();
    const begin = async (wish: Means['wish'] = 'auto'): Promise<Scene> => {
      const scene = setUp('demo', offering, { wish, measured, patient: true });
      await live(scene);
      return scene;
    };
    const first = await begin();
    expect(first.taken.at(-1)).toMatchObject({ kind: 'webrtc', reason: 'the default' });
    await plays(first, 21);
    first.play.leave();
    const second = await begin('webtransport');
    page.become('hidden');
    await plays(second, 14);
    page.become('visible');
    expect(measured.better).toBeUndefined();
    await plays(second, 14, 'client');
    expect(measured.better).toBeUndefined();
    await plays(second, 14, 'link', [640, 360]);
    expect(measured.better).toBeUndefined();
    await plays(second, 14);
    expect(measured.better).toEqual({ webrtc: 21, webtransport: 14 });
    second.play.leave();
    const third = await begin();
    const reason = 'measured here: coded pictures are on the screen after 14 ms, by WebRTC after 21; decodes H264, VP8';
    expect(third.connections.map(({ kind }) => kind)).toEqual(['webtransport']);
    expect(third.taken.at(-1)).toMatchObject({ kind: 'webtransport', reason });
    expect(third.newest().said).toContainEqual({ type: 'transport', kind: 'webtransport', reason });
    third.play.leave();
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
