import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Api, ApiFailure, ApiProblem } from '../src/api.ts';
import { pause, pauseBefore } from '../src/session/backoff.ts';
import { fragment, fragmentHead } from '../src/session/trickle.ts';
import { addressFor, readSettings, videoFor } from '../src/settings.ts';
import { summary } from '../src/stats/declined.ts';
import { niceCeiling, spans, stageTitle, StatsHistory, WINDOW_MS } from '../src/stats/history.ts';
import { rangeOf } from '../src/stats/range.ts';
import { rateOf } from '../src/stats/rate.ts';
import { RtcStatsReader } from '../src/stats/rtc.ts';
import { ms, rtp, type Micros } from '../src/units.ts';
import { contentBox, normalise } from '../src/video/layout.ts';
import type { Progress } from '../src/video/messages.ts';
import { BATCH_MS, MAX_REPORTS, ProgressBatch, type Shown } from '../src/video/reports.ts';
import { CELLS, readStrip, StripLog } from '../src/video/strip.ts';
import { parseServerMessage } from '../src/wire/control.ts';
import type { Hello, Session, Stats } from '../src/wire/index.ts';

const stats: Stats = {
  fps: 60, kbps: 8000, target_kbps: 10000, coded: [1280, 720], internal: [1280, 720],
  unchanged: 0, dropped: 0, keyframes: 1, input_dropped: 0, viewers: { co_players: 1, spectators: 2 },
  rate: { path: 'clear', limited_by: 'link', queue_ms: 3.2, arrives_kbps: 7900, frame_rate: 1, size: 1, size_changes: 0 }, stages: [{ stage: 'draw', ms: { p50: 1, p95: 2, p99: 3 } }],
};

const hello = {
  type: 'hello', session: 's', role: 'player', video: { width: 640, height: 360, fps: 30, max_kbps: 5000, hdr: false }, encoder: 'x', codec: 'H264', declined: ['y: missing'], device: 'd', microphone: 'not_by_game',
};

describe('control messages', () => {
  it('are taken when they are whole', () => {
    expect(parseServerMessage('{"type":"ping","id":7}')).toEqual({ type: 'ping', id: 7 });
    expect(parseServerMessage(JSON.stringify({ type: 'stats', ...stats }))).toMatchObject({ fps: 60 });
    expect(parseServerMessage(JSON.stringify({ type: 'stats', ...stats, rtt_ms: null, total: null }))).toMatchObject({ fps: 60 });
    expect(parseServerMessage('{"type":"ended","reason":"idle"}')).toMatchObject({ reason: 'idle' });
    expect(parseServerMessage('{"type":"ended","reason":"It crashed.","code":"game_crashed"}')).toMatchObject({ code: 'game_crashed' });
    expect(parseServerMessage(JSON.stringify(hello))).toEqual(hello);
    expect(parseServerMessage(JSON.stringify({ ...hello, encoder_caveat: 'slow' }))).toMatchObject({ encoder_caveat: 'slow' });
    expect(parseServerMessage(JSON.stringify({ ...hello, screen_refused: 'full' }))).toMatchObject({ screen_refused: 'full' });
  });

  it.each([
    '', '{', 'null', '[]', '"ping"', '{"type":7}', '{"type":"ping"}', '{"type":"ping","id":"7"}', '{"type":"later"}',
    '{"type":"toString"}', '{"type":"ended"}', JSON.stringify({ type: 'stats', ...stats, stages: [{ stage: 'draw' }] }),
    JSON.stringify({ type: 'stats', ...stats, fps: null }), JSON.stringify({ ...hello, encoder_caveat: 7 }), JSON.stringify({ ...hello, screen_refused: 7 }),
    JSON.stringify({ ...hello, declined: [7] }), JSON.stringify({ ...hello, microphone: 'sometimes' }),
  ])('are refused when they are not: %s', (text) => {
    expect(parseServerMessage(text)).toBeUndefined();
  });
});

describe('encoders that are not in use', () => {
  const missing = ['nvenc-h264: missing: libcuda.so.1 cannot be loaded', 'gst-vah264enc: missing: its element', 'vpx-vp8: missing: libvpx'];
  const slow = 'x264: takes 21.0 ms for a picture of 1920x1080, more than 60% of the 16.7 ms between two';

  it('are told in a few words, the missing ones by number', () => {
    expect(summary([])).toBeUndefined();
    expect(summary(missing.slice(0, 1))).toBe('Not in use: nvenc-h264 (missing)');
    expect(summary(missing)).toBe('Not in use: nvenc-h264 and 2 more (missing)');
    expect(summary([slow])).toBe(`Not in use: ${slow}`);
    expect(summary([...missing, slow, 'gst-x264enc: forbidden by configuration: video.forbid_encoders names it'])).toBe(`Not in use: ${slow} and 1 more; nvenc-h264 and 2 more (missing)`);
    expect(summary(['odd'])).toBe('Not in use: odd');
  });
});

describe('the API', () => {
  const session = { url: 'https://node.test/api/v1/sessions/a', whep_url: 'https://node.test/api/v1/sessions/a/whep', token: 'own', ice_servers: [] } as unknown as Session;
  const answering = (respond: () => Response): { api: Api; calls: { url: string; init: RequestInit }[] } => {
    const calls: { url: string; init: RequestInit }[] = [];
    const api = new Api(new URL('https://node.test/base/'), 'operator', (url, init) => {
      calls.push({ url: url as string, init: init ?? {} });
      return Promise.resolve(respond());
    });
    return { api, calls };
  };
  const token = (init: RequestInit | undefined): string | null => new Headers(init?.headers).get('authorization');

  it('starts at its base and follows absolute addresses with the session’s own token', async () => {
    const { api, calls } = answering(() => Response.json(session, { status: 201 }));
    await api.endSession(await api.createSession({ app: 'demo' }));
    expect(calls.map(({ url }) => url)).toEqual(['https://node.test/base/api/v1/sessions', 'https://node.test/api/v1/sessions/a']);
    expect(calls.map(({ init }) => token(init))).toEqual(['Bearer operator', 'Bearer own']);
  });

  it('names the player in a header and in no address', async () => {
    const { api, calls } = answering(() => Response.json({ saves: [], playing: false }));
    await api.saves('a game', 'secret');
    await api.deleteSave('a game', 'secret', '7');
    expect(calls.map(({ url }) => url)).toEqual([
      'https://node.test/base/api/v1/catalogue/a%20game/saves',
      'https://node.test/base/api/v1/catalogue/a%20game/saves/7',
    ]);
    expect(calls.map(({ init }) => new Headers(init.headers).get('nearlight-player'))).toEqual(['secret', 'secret']);
    expect(calls.map(({ init }) => token(init))).toEqual(['Bearer operator', 'Bearer operator']);
  });

  it('resolves the location of an answer against the address that was asked', async () => {
    const { api } = answering(() => new Response('v=0', { status: 201, headers: { location: '/api/v1/sessions/a/whep/1', etag: '"1"' } }));
    const answer = await api.offer(session, 'v=0', new AbortController().signal);
    expect(answer).toEqual({ sdp: 'v=0', location: 'https://node.test/api/v1/sessions/a/whep/1', etag: '"1"' });
  });

  it('turns problem+json into an error with its reason', async () => {
    const problem = { type: '/problems/refused', title: 'The node cannot take this session', status: 503, detail: '16 of 16 sessions' };
    const { api } = answering(() => Response.json(problem, { status: 503, headers: { 'retry-after': '2' } }));
    const error: unknown = await api.createSession({ app: 'demo' }).catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(ApiProblem);
    expect(error).toMatchObject({ reason: 'refused', status: 503, detail: '16 of 16 sessions', retryAfter: 2, isTemporary: true });
  });

  it('makes something of errors that are no problem+json', async () => {
    const { api } = answering(() => new Response('<html>', { status: 401 }));
    await expect(api.catalogue()).rejects.toMatchObject({ reason: 'unauthorized', isTemporary: false });
  });

  it.each(['<html>', '[]', '{}', '{"entries":7}'])('refuses %s as a catalogue', async (body) => {
    const { api } = answering(() => new Response(body));
    await expect(api.catalogue()).rejects.toMatchObject({ name: 'ApiFailure', reason: 'malformed' });
  });

  it('names an unreachable node', async () => {
    const api = new Api(new URL('https://node.test/'), undefined, () => Promise.reject(new TypeError('refused')));
    await expect(api.catalogue()).rejects.toBeInstanceOf(ApiFailure);
    await expect(api.catalogue()).rejects.toMatchObject({ reason: 'unreachable' });
  });
});

describe('settings', () => {
  it('come from the address', () => {
    const settings = readSettings(new URL('https://page.test/?play=demo&barcode=1&fps=60&width=-2&kbps=x#token=s3cret'), '');
    expect(settings).toMatchObject({ play: 'demo', barcode: true, patient: false, token: 's3cret', video: { fps: 60 } });
    expect(settings.video).toEqual({ fps: 60 });
    expect(settings.api.href).toBe('https://page.test/');
  });

  it.each([
    ['', false, false],
    ['hdr=no', false, false],
    ['hdr=1', false, true],
    ['hdr=force', true, true],
    ['hdr=constructor', false, false],
  ])('with %j ask for high range on a standard display: %s, on a high one: %s', (query, onStandard, onHigh) => {
    const settings = readSettings(new URL(`https://page.test/?fps=30&${query}`), '');
    expect(videoFor(settings, false)).toEqual(onStandard ? { fps: 30, hdr: true } : { fps: 30 });
    expect(videoFor(settings, true)).toEqual(onHigh ? { fps: 30, hdr: true } : { fps: 30 });
  });

  it('may name another origin for the API', () => {
    expect(readSettings(new URL('https://page.test/x/'), 'https://node.test:8443/').api.href).toBe('https://node.test:8443/');
  });

  it('never leave the token in an address', () => {
    expect(addressFor(new URL('https://page.test/?fps=60#token=s3cret'), 'demo')).toBe('https://page.test/?fps=60&play=demo');
    expect(addressFor(new URL('https://page.test/?play=demo'), undefined)).toBe('https://page.test/');
  });
});

describe('reconnecting', () => {
  it('begins at once and slows down to a limit', () => {
    expect([1, 2, 3, 4, 5, 6, 20].map((attempt) => pauseBefore(attempt, 0))).toEqual([0, 250, 500, 1000, 2000, 4000, 4000]);
    expect(pauseBefore(6, 1)).toBe(2667);
  });

  it('stops waiting when the session ends', async () => {
    const abort = new AbortController();
    const waiting = pause(ms(1e6), abort.signal, new EventTarget());
    abort.abort(new Error('over'));
    await expect(waiting).rejects.toThrow('over');
  });

  it('stops waiting when the network is back', async () => {
    const network = new EventTarget();
    const waiting = pause(ms(1e6), new AbortController().signal, network);
    network.dispatchEvent(new Event('online'));
    await expect(waiting).resolves.toBeUndefined();
  });
});

describe('trickle fragments', () => {
  const sdp = 'v=0\r\na=group:BUNDLE 0 1\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=ice-ufrag:abcd\r\na=ice-pwd:secret\r\na=mid:0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n';

  it('name the connection by its first medium', () => {
    const head = fragmentHead(sdp);
    expect(head).toEqual({ ufrag: 'abcd', pwd: 'secret', mid: '0', medium: 'm=video 9 UDP/TLS/RTP/SAVPF 96 97' });
    if (head === undefined) return;
    expect(fragment(head, ['candidate:1 1 udp 1 192.0.2.1 9 typ host'], true)).toBe(
      'a=ice-ufrag:abcd\r\na=ice-pwd:secret\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n',
    );
  });

  it('are not made of an offer without credentials', () => {
    expect(fragmentHead('v=0\r\n')).toBeUndefined();
  });
});

describe('the strip', () => {
  const cells = (frame: number, input: number): number[] => {
    const word = Array.from(frame.toString(2).padStart(16, '0') + input.toString(2).padStart(16, '0'), Number);
    return [...word, word.reduce((sum, bit) => sum + bit, 0) % 2].map((bit) => (bit === 1 ? 235 : 16));
  };

  it.each([[0, 0], [1, 0], [0xffff, 0xffff], [0x8001, 0x7ffe], [1234, 56789]])('reads frame %i, input %i', (frame, input) => {
    const drawn = cells(frame, input);
    expect(drawn).toHaveLength(CELLS);
    expect(readStrip((cell) => drawn[cell])).toEqual({ frame, input });
  });

  it('notices any one wrong cell, and a picture that is too small', () => {
    for (let wrong = 0; wrong < CELLS; wrong += 1) {
      const drawn = cells(1234, 56789);
      drawn[wrong] = 251 - (drawn[wrong] ?? 0);
      expect(readStrip((cell) => drawn[cell])).toBeUndefined();
    }
    expect(readStrip(() => undefined)).toBeUndefined();
  });

  it('is kept until it is asked for', () => {
    const log = new StripLog();
    expect(log.take('newest')).toEqual([]);
    for (let frame = 0; frame < 5000; frame += 1) log.add({ frame, input: 0, decodedAtUs: frame as Micros });
    expect(log.take('newest')).toMatchObject([{ frame: 4999 }]);
    const all = log.take('all');
    expect(all).toHaveLength(4096);
    expect(all[0]).toMatchObject({ frame: 904 });
    expect(log.take('all')).toEqual([]);
    expect(log.take('newest')).toMatchObject([{ frame: 4999 }]);
  });
});

describe('frame reports', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  const shown = (index: number): Shown => ({
    size: { width: 2, height: 2 }, rtp: rtp(index), decodedAt: index as Micros, presentedAt: (index + 1) as Micros,
  });

  it('come at once, in batches where frames come faster, and none is left behind', () => {
    const told: Progress[] = [];
    const batch = new ProgressBatch((progress) => { told.push(progress); }, () => undefined);
    batch.note(shown(1));
    expect(told).toHaveLength(1);
    batch.note(shown(2));
    batch.note(shown(3));
    expect(told).toHaveLength(1);
    vi.advanceTimersByTime(BATCH_MS);
    expect(told[1]).toMatchObject({ presented: 3, rtp: 3, reports: [{ rtp: 2, decoded_us: 2, presented_us: 3 }, { rtp: 3 }] });
    vi.advanceTimersByTime(10 * BATCH_MS);
    expect(told).toHaveLength(2);
    batch.note(shown(4));
    expect(told[2]).toMatchObject({ presented: 4, reports: [{ rtp: 4 }] });
    batch.restart();
    batch.note(shown(5));
    expect(told[3]).toMatchObject({ presented: 5, reports: [{ rtp: 5 }] });
  });

  it('are never more than the server takes; the oldest go', () => {
    const told: Progress[] = [];
    const batch = new ProgressBatch((progress) => { told.push(progress); }, () => undefined);
    for (let frame = 0; frame < 200; frame += 1) batch.note(shown(frame));
    vi.advanceTimersByTime(BATCH_MS);
    expect(told[1]?.reports).toHaveLength(MAX_REPORTS);
    expect(told[1]?.reports.at(-1)).toMatchObject({ rtp: 199 });
  });
});

describe('the picture’s place', () => {
  it('is the middle, whole', () => {
    const wide = { left: 10, top: 20, width: 200, height: 100 };
    expect(contentBox(wide, { width: 100, height: 100 })).toEqual({ left: 60, top: 20, width: 100, height: 100 });
    expect(contentBox(wide, { width: 0, height: 0 })).toEqual(wide);
  });

  it('makes places into shares of the picture', () => {
    const box = { left: 60, top: 20, width: 100, height: 100 };
    expect(normalise(box, 60, 20)).toEqual({ x: 0, y: 0 });
    expect(normalise(box, 160, 120)).toEqual({ x: 65535, y: 65535 });
    expect(normalise(box, 0, 1000)).toEqual({ x: 0, y: 65535 });
    expect(normalise({ left: 0, top: 0, width: 0, height: 0 }, 5, 5)).toEqual({ x: 0, y: 0 });
  });
});

describe('statistics', () => {
  it('say what the rate follows, and what is left out for it', () => {
    expect(rateOf(stats.rate)).toBe('limited by the link, path clear, 3 ms of queue');
    const fewer = { ...stats.rate, limited_by: 'client', frame_rate: 2 / 3, size: 0.75, size_changes: 2 } as const;
    expect(rateOf(fewer)).toBe('limited by this device, path clear, 3 ms of queue, 67 % of the frames, 75 % of the size, size changed 2 ×');
  });

  it('say which range the picture has, and what the display makes of it', () => {
    const [hdr, standard] = [true, false].map((on) => ({ video: { ...hello.video, hdr: on } })) as [Pick<Hello, 'video'>, Pick<Hello, 'video'>];
    expect(rangeOf(hdr, true)).toBe('HDR10');
    expect(rangeOf(hdr, false)).toBe('HDR10, shown in standard range: the display has no high range');
    for (const high of [true, false]) {
      expect(rangeOf(standard, high)).toBe('standard');
      expect(rangeOf({ ...standard, hdr_declined: 'no encoder' }, high)).toBe('standard: no encoder');
      expect(rangeOf(standard, high, true)).toBe('standard: the display had no high range when the session began');
    }
  });

  it('are kept for the length of the graph', () => {
    const history = new StatsHistory();
    for (let at = 0; at <= WINDOW_MS * 2; at += 500) history.add(stats, at);
    expect(history.samples[0]?.at).toBe(WINDOW_MS + 500);
    expect(history.samples).toHaveLength(60);
  });

  it('add up to the whole in the graph, which medians do not', () => {
    const stage = (name: string, p50: number, mean?: number): Stats['stages'][number] => ({ stage: name, ms: { p50, p95: p50, p99: p50 }, ...(mean === undefined ? {} : { mean }) });
    const known = spans({ stages: [stage('draw', 1, 1.5), stage('seal', 9), stage('network', 2, 4)], mean_total: 5.5 });
    expect(known).toEqual([{ stage: 'draw', ms: 1.5 }, { stage: 'network', ms: 4 }]);
    expect(known.reduce((sum, { ms: length }) => sum + length, 0)).toBe(5.5);
    expect(spans({ stages: [stage('draw', 1)] })).toEqual([{ stage: 'draw', ms: 1 }]);
  });

  it('name the stages of each transport', () => {
    const stages = ['network', 'decode', 'present'].map((name) => ({ stage: name, ms: { p50: 1, p95: 1, p99: 1 } }));
    expect(stageTitle('network', stages)).toBe('Network');
    expect(stageTitle('network', stages.filter(({ stage }) => stage !== 'decode'))).toBe('Network + jitter + decode');
    expect(stageTitle('later', stages)).toBe('later');
  });

  it('have round scales', () => {
    expect([0, 0.3, 1, 1.1, 3, 10, 12, 70, 200].map(niceCeiling)).toEqual([1, 0.5, 1, 2, 5, 10, 20, 100, 200]);
  });

  it('of the browser are averages between readings, also over a new connection', () => {
    const reader = new RtcStatsReader();
    const report = (seconds: number, frames: number): [string, unknown][] => [
      ['x', { type: 'transport' }],
      ['y', { type: 'inbound-rtp', kind: 'video', jitterBufferDelay: seconds, jitterBufferEmittedCount: frames, totalDecodeTime: seconds * 2, framesDecoded: frames, packetsLost: 3 }],
    ];
    reader.read(report(1, 100));
    expect(reader.read(report(1.5, 200))).toEqual({ jitterBufferMs: 5, decodeMs: 10, packetsLost: 3 });
    expect(reader.read(report(0.1, 10))).toEqual({ jitterBufferMs: 10, decodeMs: 20, packetsLost: 3 });
    expect(reader.read(report(0.1, 10))?.jitterBufferMs).toBeUndefined();
    expect(reader.read([])).toBeUndefined();
  });
});
