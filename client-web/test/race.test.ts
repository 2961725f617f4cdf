import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { TransportKind } from '../src/session/choice.ts';
import type { SessionConnection, Signalling } from '../src/session/connection.ts';
import { Contest } from '../src/session/contest.ts';
import { DOUBT_MS, Doubts } from '../src/session/doubts.ts';
import { ASKED_HEAD_START_MS, HEAD_START_MS, MOST_HEAD_START_MS, Race, UNANSWERED_MS } from '../src/session/race.ts';

const ALL: readonly TransportKind[] = ['webrtc', 'webtransport', 'websocket'];
const race = (doubted: readonly TransportKind[] = [], kinds = ALL): Race => new Race(kinds.map((kind) => ({ kind, isDoubted: doubted.includes(kind), isAsked: false })));

describe('a race', () => {
  it('begins with one, and gives each a head start over the next', () => {
    const it = race();
    expect(it.next()).toEqual({ kind: 'webrtc', at: 0 });
    it.begin('webrtc', 1_000);
    it.answered('webrtc', 1_020);
    expect(it.next()).toEqual({ kind: 'webtransport', at: 1_020 + HEAD_START_MS });
    it.begin('webtransport', 1_320);
    expect(it.next()).toEqual({ kind: 'websocket', at: 1_320 + HEAD_START_MS });
    it.begin('websocket', 1_620);
    expect(it.next()).toBeUndefined();
  });

  it('is patient where the node answers late, and not without end', () => {
    const slow = race();
    slow.begin('webrtc', 0);
    expect(slow.next()?.at).toBe(UNANSWERED_MS);
    slow.answered('webrtc', 200);
    expect(slow.next()?.at).toBe(200 + 4 * 200);
    // What was learnt of one holds for the next.
    slow.begin('webtransport', 1_000);
    expect(slow.next()?.at).toBe(1_000 + 2 * 200);
    const slower = race();
    slower.begin('webrtc', 0);
    slower.answered('webrtc', 900);
    expect(slower.next()?.at).toBe(900 + MOST_HEAD_START_MS);
  });

  it('is more patient with what somebody asked for', () => {
    const asked = new Race(ALL.map((kind) => ({ kind, isDoubted: false, isAsked: kind === 'webrtc' })));
    asked.begin('webrtc', 0);
    asked.answered('webrtc', 10);
    expect(asked.next()?.at).toBe(10 + ASKED_HEAD_START_MS);
    asked.begin('webtransport', 1_010);
    expect(asked.next()?.at).toBe(1_010 + HEAD_START_MS);
  });

  it('waits for none that failed or is in doubt', () => {
    const failed = race();
    failed.begin('webrtc', 0);
    failed.fail('webrtc');
    expect(failed.next()).toEqual({ kind: 'webtransport', at: 0 });
    failed.begin('webtransport', 5);
    expect(failed.next()).toEqual({ kind: 'websocket', at: 5 + HEAD_START_MS });
    const doubted = race(['webrtc', 'webtransport']);
    doubted.begin('webrtc', 7);
    expect(doubted.next()).toEqual({ kind: 'webtransport', at: 7 });
    doubted.begin('webtransport', 7);
    doubted.answered('webrtc', 9);
    expect(doubted.next()).toEqual({ kind: 'websocket', at: 7 });
  });

  it('knows who is left', () => {
    const it = race();
    expect([it.hasOthers, race([], ['webrtc']).hasOthers]).toEqual([true, false]);
    it.fail('webtransport');
    expect(it.isLast('webrtc')).toBe(false);
    it.fail('websocket');
    expect([it.isLast('webrtc'), it.isOver]).toEqual([true, false]);
    it.fail('webrtc');
    expect(it.isOver).toBe(true);
  });

  it('says who was slower than the winner, of those that had their time', () => {
    const it = race();
    it.begin('webrtc', 0);
    it.answered('webrtc', 10);
    it.begin('webtransport', 310);
    expect([...it.slowerThan('webtransport', 320)]).toEqual([['webrtc', 320]]);
    expect([...it.slowerThan('webrtc', 320)]).toEqual([]);
    it.begin('websocket', 610);
    it.fail('webrtc');
    expect([...it.slowerThan('websocket', 700)]).toEqual([['webtransport', 390]]);
    const soon = race();
    soon.begin('webrtc', 0);
    soon.begin('webtransport', 0);
    expect(soon.slowerThan('webtransport', 100).size).toBe(0);
  });
});

describe('a contest', () => {
  class Runner {
    answered = false;
    closed = 0;
    private settle: { resolve: () => void; reject: (error: Error) => void } | undefined;
    constructor(readonly kind: TransportKind) {}
    connect(): Promise<void> {
      return new Promise((resolve, reject) => { this.settle = { resolve, reject }; });
    }
    answer(): void {
      this.answered = true;
      this.settle?.resolve();
    }
    fail(): void {
      this.settle?.reject(new Error(`${this.kind} failed`));
    }
    close(): void {
      this.closed += 1;
      this.settle?.reject(new Error('given up'));
    }
  }
  interface Scene {
    readonly contest: Contest;
    readonly runners: readonly Runner[];
    readonly log: string[];
    readonly winner: Promise<SessionConnection>;
    readonly at: (index: number) => SessionConnection & Runner;
  }
  const begin = (of: Race, goesOn = true): Scene => {
    const [runners, log]: [Runner[], string[]] = [[], []];
    const make = (kind: TransportKind): SessionConnection => {
      runners.push(new Runner(kind));
      return runners.at(-1) as unknown as SessionConnection;
    };
    const contest = new Contest(of, {} as Signalling, {
      make,
      onFailed: ({ kind }) => {
        log.push(`${kind} failed`);
        return goesOn;
      },
      onWon: ({ kind }) => { log.push(`${kind} won`); },
    }, () => Date.now());
    const winner = contest.run(make('webrtc'));
    winner.catch(() => undefined);
    return { contest, runners, log, winner, at: (index) => runners[index] as unknown as SessionConnection & Runner };
  };
  const kinds = ({ runners }: Scene): readonly TransportKind[] => runners.map(({ kind }) => kind);
  beforeEach(() => { vi.useFakeTimers(); });
  afterEach(() => { vi.useRealTimers(); });
  const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

  it('is won by the wanted one alone where that is quick', async () => {
    const scene = begin(race());
    scene.at(0).answer();
    await pass(HEAD_START_MS - 1);
    expect(scene.contest.ready(scene.at(0))).toBe(true);
    expect(await scene.winner).toBe(scene.at(0));
    await pass(60_000);
    expect([kinds(scene), scene.log]).toEqual([['webrtc'], ['webrtc won']]);
    expect(scene.contest.ready(scene.at(0))).toBe(false);
  });

  it('goes to the first that is connected, and the others are closed once', async () => {
    const scene = begin(race());
    scene.at(0).answer();
    await pass(2 * HEAD_START_MS);
    expect(kinds(scene)).toEqual(ALL);
    expect(scene.contest.members).toHaveLength(3);
    scene.contest.ready(scene.at(2));
    expect(await scene.winner).toBe(scene.at(2));
    await pass(60_000);
    expect(scene.runners.map(({ closed }) => closed)).toEqual([1, 1, 0]);
    expect(scene.log).toEqual(['websocket won']);
    // What it says of itself comes too late.
    expect(scene.contest.ready(scene.at(0))).toBe(false);
    expect(scene.contest.broke(scene.at(0), new Error('late'))).toBe(false);
  });

  it('still goes to the wanted one where that is there before the next', async () => {
    const scene = begin(race());
    scene.at(0).answer();
    await pass(HEAD_START_MS + 1);
    scene.contest.ready(scene.at(0));
    await pass(10);
    expect(scene.runners.map(({ closed }) => closed)).toEqual([0, 1]);
    expect(scene.log).toEqual(['webrtc won']);
  });

  it('begins the next at once where one fails, and goes to the last that is left once the node answered', async () => {
    const scene = begin(race());
    scene.at(0).answer();
    await pass(HEAD_START_MS);
    scene.at(1).fail();
    await pass(0);
    // WebRTC has had its time.
    expect(kinds(scene)).toEqual(ALL);
    expect(scene.contest.broke(scene.at(2), new Error('broke'))).toBe(true);
    expect(await scene.winner).toBe(scene.at(0));
    expect(scene.log).toEqual(['webtransport failed', 'websocket failed', 'webrtc won']);
  });

  it('is lost with the last one, or with one whose error speaks of all', async () => {
    const scene = begin(race([], ['webrtc', 'webtransport']));
    scene.at(0).fail();
    await pass(0);
    scene.at(1).fail();
    await expect(scene.winner).rejects.toThrow('webtransport failed');
    const ended = begin(race(['webrtc']), false);
    await pass(HEAD_START_MS);
    expect(kinds(ended)).toEqual(ALL);
    ended.at(1).fail();
    await expect(ended.winner).rejects.toThrow('webtransport failed');
    expect(ended.runners.map(({ closed }) => closed)).toEqual([1, 1, 1]);
    expect(ended.log).toEqual(['webtransport failed']);
  });

  it('that is stopped begins nothing more', async () => {
    const scene = begin(race());
    scene.contest.stop(new Error('left'));
    await expect(scene.winner).rejects.toThrow('left');
    await pass(60_000);
    expect(kinds(scene)).toEqual(['webrtc']);
  });
});

describe('doubts', () => {
  const storage = (): Pick<Storage, 'getItem' | 'setItem'> & { readonly kept: Map<string, string> } => {
    const kept = new Map<string, string>();
    return { kept, getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => { kept.set(key, value); } };
  };

  it('last from one visit to the next, and not for ever', () => {
    let now = 1_000_000;
    const kept = storage();
    const first = new Doubts(() => kept, () => now);
    first.add('webrtc');
    now += DOUBT_MS / 2;
    const second = new Doubts(() => kept, () => now);
    expect(ALL.map((kind) => second.has(kind))).toEqual([true, false, false]);
    // It was given no time, so that this says nothing new.
    second.add('webrtc');
    now += DOUBT_MS / 2;
    expect(second.has('webrtc')).toBe(false);
    second.add('webrtc');
    expect(second.has('webrtc')).toBe(true);
    second.remove('webrtc');
    expect(new Doubts(() => kept, () => now).has('webrtc')).toBe(false);
    // A clock that was set back.
    second.add('webtransport');
    now -= 1;
    expect(second.has('webtransport')).toBe(false);
  });

  it('are none where what is kept is nonsense, or nothing may be kept', () => {
    for (const nonsense of ['{', 'null', '[]', '{"webrtc":"1"}', '7']) {
      const kept = storage();
      kept.setItem('nearlight-slow-transports', nonsense);
      expect(new Doubts(() => kept, () => 1).has('webrtc')).toBe(false);
    }
    const refused = new Doubts(() => { throw new Error('no storage'); }, () => 1);
    refused.add('webrtc');
    expect(refused.has('webrtc')).toBe(true);
  });
});
