import { describe, expect, it } from 'vitest';
import { KEPT_MS, Measured, MOST_STRETCHES, pixelsOf, Stretch, STRETCH_MS, toScreen } from '../src/session/measured.ts';
import type { Stats } from '../src/wire/index.ts';

const NODE = new URL('https://node.test/');
const KEY = 'nearlight-measured-transports https://node.test/';
const [HD, FULL_HD] = [1280 * 720, 1920 * 1080];

interface Shelf extends Pick<Storage, 'getItem' | 'setItem'> {
  readonly kept: Map<string, string>;
}

const shelf = (): Shelf => {
  const kept = new Map<string, string>();
  return { kept, getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => { kept.set(key, value); } };
};

/** Figures as these stretches leave them. */
const after = (webrtc: readonly number[], webtransport: readonly number[]): Measured => {
  const measured = new Measured(NODE, shelf, () => 5);
  for (const ms of webrtc) measured.add('webrtc', ms, HD);
  for (const ms of webtransport) measured.add('webtransport', ms, HD);
  return measured;
};

describe('what was measured', () => {
  it('speaks for WebTransport where it was sooner, and not the other way round', () => {
    expect(after([21, 21, 21], [14, 14, 14]).better).toEqual({ webrtc: 21, webtransport: 14 });
    expect(after([14, 14, 14], [21, 21, 21]).better).toBeUndefined();
    expect(after([14, 14, 14], [14, 14, 14]).better).toBeUndefined();
  });

  it('speaks for it by more than a margin, in milliseconds and in parts', () => {
    expect(after([10, 10, 10], [8, 8, 8]).better).toBeUndefined();
    expect(after([10, 10, 10], [7.5, 7.5, 7.5]).better).toBeDefined();
    expect(after([100, 100, 100], [90, 90, 90]).better).toBeUndefined();
    expect(after([100, 100, 100], [89, 89, 89]).better).toBeDefined();
  });

  it('says nothing before both were played for three stretches', () => {
    expect(after([], []).better).toBeUndefined();
    expect(after([21, 21, 21], [14, 14]).better).toBeUndefined();
    expect(after([21, 21], [14, 14, 14]).better).toBeUndefined();
    expect(after([21, 21, 21], []).better).toBeUndefined();
  });

  it('is the median, which one bad stretch does not move', () => {
    expect(after([21, 22, 500], [14, 900, 13]).better).toEqual({ webrtc: 22, webtransport: 14 });
  });

  it('is the mean of both in the middle of an even number, which favours nobody', () => {
    expect(after([21, 24, 500, 20], [14, 900, 12, 13, 15, 17]).better).toEqual({ webrtc: 22.5, webtransport: 14.5 });
    // By the lower one it would be sooner.
    expect(after([21, 21, 21], [14, 14, 30, 30]).better).toBeUndefined();
  });

  it('is kept from one visit to the next, for its node alone, and not for ever', () => {
    let now = 1_000_000;
    const storage = shelf();
    const visit = (node = NODE): Measured => new Measured(node, () => storage, () => now);
    const first = visit();
    for (const ms of [21, 21, 21]) first.add('webrtc', ms, HD);
    now += 1_000;
    for (const ms of [14, 14, 14]) first.add('webtransport', ms, HD);
    const better = { webrtc: 21, webtransport: 14 };
    expect(visit().better).toEqual(better);
    expect(visit(new URL('https://other.test/')).better).toBeUndefined();
    expect(visit(new URL('https://node.test/second/')).better).toBeUndefined();
    now += KEPT_MS - 1_001;
    expect([first.better, visit().better]).toEqual([better, better]);
    // WebRTC's are too old now.
    now += 1;
    expect([first.better, visit().better]).toEqual([undefined, undefined]);
    // A clock that was set back.
    now = 999_999;
    expect([first.better, visit().better]).toEqual([undefined, undefined]);
  });

  it('is kept together with what another page measures meanwhile', () => {
    const storage = shelf();
    const [one, other] = [1, 2].map(() => new Measured(NODE, () => storage, () => 5));
    for (const ms of [21, 21, 21]) one?.add('webrtc', ms, HD);
    for (const ms of [14, 14, 14]) other?.add('webtransport', ms, HD);
    one?.add('webrtc', 21, HD);
    const better = { webrtc: 21, webtransport: 14 };
    expect([one?.better, other?.better, new Measured(NODE, () => storage, () => 5).better]).toEqual([better, better, better]);
  });

  it('is compared with pictures of one size, as those had that were played last', () => {
    let now = 0;
    const measured = new Measured(NODE, shelf, () => now);
    const played = (kind: 'webrtc' | 'webtransport', ms: number, pixels: number): void => {
      for (let stretch = 0; stretch < 3; stretch += 1) {
        now += 1;
        measured.add(kind, ms, pixels);
      }
    };
    played('webrtc', 40, FULL_HD);
    played('webtransport', 14, HD);
    expect(measured.better).toBeUndefined();
    played('webrtc', 21, HD);
    expect(measured.better).toEqual({ webrtc: 21, webtransport: 14 });
    played('webtransport', 39, FULL_HD);
    expect(measured.better).toBeUndefined();
    played('webtransport', 15, HD);
    expect(measured.better).toEqual({ webrtc: 21, webtransport: 14.5 });
    // Of a third size nothing is known by the other one.
    played('webrtc', 30, 640 * 360);
    expect(measured.better).toBeUndefined();
  });

  it('is bounded: what was measured last counts', () => {
    const storage = shelf();
    const measured = new Measured(NODE, () => storage, () => 5);
    for (const ms of [21, 21, 21]) measured.add('webrtc', ms, HD);
    for (let stretch = 0; stretch < 100; stretch += 1) measured.add('webtransport', 30, HD);
    expect(measured.better).toBeUndefined();
    for (let stretch = 0; stretch < MOST_STRETCHES; stretch += 1) measured.add('webtransport', 14, HD);
    expect(measured.better).toEqual({ webrtc: 21, webtransport: 14 });
    const kept = JSON.parse(storage.kept.get(KEY) ?? '') as Record<string, unknown[]>;
    expect(kept['webtransport']).toHaveLength(MOST_STRETCHES);
  });

  it('is nothing of a WebSocket', () => {
    const storage = shelf();
    new Measured(NODE, () => storage, () => 5).add('websocket', 1, HD);
    expect(storage.kept.size).toBe(0);
  });

  it.each(['{', 'null', '[]', '7', '{}', '{"webrtc":7,"webtransport":{}}'])('is nothing where %s is kept', (nonsense) => {
    const storage = shelf();
    storage.setItem(KEY, nonsense);
    const measured = new Measured(NODE, () => storage, () => 5);
    expect(measured.better).toBeUndefined();
    // It can be measured again.
    for (const ms of [21, 21, 21]) measured.add('webrtc', ms, HD);
    for (const ms of [14, 14, 14]) measured.add('webtransport', ms, HD);
    expect(new Measured(NODE, () => storage, () => 5).better).toEqual({ webrtc: 21, webtransport: 14 });
  });

  it.each([
    'null', '14', '[14,5]', '{"ms":14,"pixels":921600}', '{"pixels":921600,"at":5}', '{"ms":14,"at":5}', '{"ms":"14","pixels":921600,"at":5}',
    '{"ms":14,"pixels":921600,"at":"5"}', '{"ms":14,"pixels":"921600","at":5}', '{"ms":-1,"pixels":921600,"at":5}',
    '{"ms":1e300,"pixels":921600,"at":5}', '{"ms":14,"pixels":921600,"at":6}',
  ])('has no figure like %s', (nonsense) => {
    const good = (ms: number): string => `{"ms":${ms},"pixels":${HD},"at":5}`;
    const read = (webrtc: readonly string[], webtransport: readonly string[]): unknown => {
      const storage = shelf();
      storage.setItem(KEY, `{"webrtc":[${webrtc.join()}],"webtransport":[${webtransport.join()}]}`);
      return new Measured(NODE, () => storage, () => 5).better;
    };
    const [slow, soon] = [[good(21), good(21), good(21)], [good(14), good(14), good(14)]];
    expect(read(slow, [nonsense, nonsense, nonsense])).toBeUndefined();
    expect(read([nonsense, nonsense, nonsense], soon)).toBeUndefined();
    // What is good beside it counts.
    expect(read([...slow, nonsense], [nonsense, ...soon, nonsense])).toEqual({ webrtc: 21, webtransport: 14 });
  });

  it('is known to the page alone where nothing may be kept', () => {
    const full: Shelf = { ...shelf(), setItem: () => { throw new Error('full'); } };
    // What is there from before is not what the page knows.
    const old = { ...full, getItem: () => `{"webrtc":[{"ms":21,"pixels":${HD},"at":5}],"webtransport":[]}` };
    for (const storage of [(): Shelf => { throw new Error('no storage'); }, (): Shelf => full, (): Shelf => old]) {
      const measured = new Measured(NODE, storage, () => 5);
      for (const ms of [21, 21, 21]) measured.add('webrtc', ms, HD);
      for (const ms of [14, 14, 14]) measured.add('webtransport', ms, HD);
      expect(measured.better).toEqual({ webrtc: 21, webtransport: 14 });
    }
  });
});

describe('a stretch of play', () => {
  const EVERY_MS = 250;
  const connection = {};

  /** Plays on for so long; yields what the stretches that became whole took. */
  const scene = (): { readonly play: (ms: number, figure: number | undefined, by?: object, pixels?: number) => readonly number[]; readonly pause: (ms: number) => void } => {
    const stretch = new Stretch();
    let now = 7_000;
    return {
      play: (ms, figure, by = connection, pixels = HD) => {
        const whole: (number | undefined)[] = [];
        for (const end = now + ms; now < end;) {
          now += EVERY_MS;
          whole.push(stretch.add(by, figure, pixels, now));
        }
        return whole.filter((took) => took !== undefined);
      },
      pause: (ms) => { now += ms; },
    };
  };

  it('is whole after twenty seconds, and the next one after as many', () => {
    const { play } = scene();
    // The first figure is of what was before.
    expect(play(EVERY_MS, 14)).toEqual([]);
    expect(play(STRETCH_MS - EVERY_MS, 14)).toEqual([]);
    expect(play(EVERY_MS, 14)).toEqual([14]);
    expect(play(STRETCH_MS * 2, 15)).toEqual([15, 15]);
  });

  it('takes its median', () => {
    const { play } = scene();
    play(EVERY_MS, 0);
    const most = play(STRETCH_MS / 2 + EVERY_MS, 14);
    expect([...most, ...play(STRETCH_MS / 2 - EVERY_MS, 900)]).toEqual([14]);
    const half = play(STRETCH_MS / 2, 14);
    expect([...half, ...play(STRETCH_MS / 2, 30)]).toEqual([22]);
  });

  it('begins anew by another connection, and after a pause', () => {
    const { play, pause } = scene();
    const almost = STRETCH_MS;
    expect(play(almost, 14)).toEqual([]);
    const other = {};
    expect(play(almost, 30, other)).toEqual([]);
    pause(1_000);
    expect(play(almost, 14, other)).toEqual([]);
    expect(play(EVERY_MS, 14, other)).toEqual([14]);
  });

  it('begins anew with pictures of another size', () => {
    const { play } = scene();
    expect(play(STRETCH_MS, 14)).toEqual([]);
    expect(play(STRETCH_MS, 30, connection, FULL_HD)).toEqual([]);
    expect(play(EVERY_MS, 30, connection, FULL_HD)).toEqual([30]);
  });

  it('begins anew after what is no play that counts', () => {
    const stretch = new Stretch();
    let now = 0;
    const add = (by: object | undefined): number | undefined => stretch.add(by, 14, HD, (now += EVERY_MS));
    for (let told = 0; told <= STRETCH_MS / EVERY_MS - 1; told += 1) expect(add(connection)).toBeUndefined();
    for (let told = 0; told <= STRETCH_MS / EVERY_MS * 2; told += 1) expect(add(undefined)).toBeUndefined();
    for (let told = 0; told <= STRETCH_MS / EVERY_MS - 1; told += 1) expect(add(connection)).toBeUndefined();
    expect(add(connection)).toBe(14);
  });

  it('does not count time in which no picture moves', () => {
    const { play } = scene();
    play(EVERY_MS, 14);
    play(STRETCH_MS / 2, 14);
    expect(play(STRETCH_MS, undefined)).toEqual([]);
    expect(play(STRETCH_MS / 2, 14)).toEqual([14]);
  });

  it('is of as many pixels as the coded picture has', () => {
    expect([[1280, 720], [1920, 1080]].map((coded) => pixelsOf({ coded }))).toEqual([HD, FULL_HD]);
  });

  it('is of what comes after the encoder, by each transport', () => {
    const stage = (name: string, mean?: number): Stats['stages'][number] => ({ stage: name, ms: { p50: 9, p95: 9, p99: 9 }, ...(mean === undefined ? {} : { mean }) });
    const before = [stage('capture', 1), stage('draw', 20), stage('convert', 2), stage('mailbox', 3), stage('encode', 4)];
    expect(toScreen({ stages: [...before, stage('queue', 1), stage('network', 5), stage('decode', 2), stage('present', 3)], mean_total: 41 })).toBe(11);
    expect(toScreen({ stages: [...before, stage('queue', 1), stage('network', 7), stage('present', 3)], mean_total: 41 })).toBe(11);
    expect(toScreen({ stages: [stage('draw'), stage('network', 7)], mean_total: 7 })).toBe(7);
    expect(toScreen({ stages: before })).toBeUndefined();
    expect(toScreen({ stages: before, mean_total: null })).toBeUndefined();
  });
});
