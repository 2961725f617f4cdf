import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RunningTime } from '../src/running.ts';
import { reached } from '../src/session/knock.ts';
import { Pulse } from '../src/session/pulse.ts';

beforeEach(() => { vi.useFakeTimers(); });
afterEach(() => { vi.useRealTimers(); });

describe('knocking', () => {
  /** A network whose questions are lost until `back`; then they are answered after `takes` milliseconds. */
  const network = (back: number, takes: number) => {
    const asked: number[] = [];
    let [waiting, most] = [0, 0];
    const ask = (signal: AbortSignal): Promise<void> => {
      asked.push(Date.now());
      most = Math.max(most, waiting += 1);
      return new Promise((resolve, reject) => {
        if (Date.now() >= back) setTimeout(resolve, takes);
        signal.addEventListener('abort', () => { waiting -= 1; reject(signal.reason as Error); });
      });
    };
    return { asked, ask, most: () => most };
  };
  /** When it was reached. */
  const find = async ({ ask }: ReturnType<typeof network>, signal = new AbortController().signal): Promise<number> => {
    let at = Number.NaN;
    reached(ask, signal, new EventTarget()).then(() => { at = Date.now(); }, () => undefined);
    await vi.advanceTimersByTimeAsync(60_000);
    return at;
  };

  it('finds a network within a tenth of a second, and never waits for more than five answers', async () => {
    const begun = Date.now();
    const far = network(begun + 10_030, 20);
    expect(await find(far)).toBeLessThanOrEqual(begun + 10_150);
    expect(far.most()).toBeLessThanOrEqual(6);
    expect(far.asked.length).toBeLessThanOrEqual(103);
  });

  it('finds one that answers slowly', async () => {
    const begun = Date.now();
    expect(await find(network(begun, 3_000))).toBe(begun + 3_000);
  });

  it('ends with its signal', async () => {
    const stop = new AbortController();
    const nobody = network(Number.POSITIVE_INFINITY, 0);
    const ended = reached(nobody.ask, stop.signal, new EventTarget());
    ended.catch(() => undefined);
    stop.abort(new Error('enough'));
    await expect(ended).rejects.toThrow('enough');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(nobody.asked.length).toBe(1);
  });
});

describe('a pulse', () => {
  it('is well while the node is heard, quiet and down when it is not', () => {
    const pulse = new Pulse(0);
    const seen = [];
    for (let now = 100; now <= 1_600; now += 100) seen.push(pulse.look(now));
    expect([seen.indexOf('quiet'), seen.indexOf('down')]).toEqual([5, 14]);
    pulse.heard(1_650);
    expect(pulse.look(1_700)).toBe('well');
  });

  it('doubts what it heard before the page slept', () => {
    const pulse = new Pulse(0);
    pulse.look(100);
    pulse.heard(2_990);
    expect(pulse.look(3_000)).toBe('down');
    expect(pulse.isSilent).toBe(false);
    pulse.heard(3_010);
    expect(pulse.look(3_100)).toBe('well');
  });

  it('takes no time that the page stood still for the node’s silence, and goes on counting after it', () => {
    const pulse = new Pulse(0);
    for (let now = 100; now <= 1_400; now += 100) pulse.look(now);
    // By the clock it is long ago; what was said meanwhile may not have been read.
    pulse.look(60_000);
    expect([pulse.isSilent, pulse.isLongAgo(60_000)]).toEqual([false, true]);
    pulse.look(60_100);
    expect(pulse.isSilent).toBe(true);
    pulse.heard(60_110);
    pulse.look(60_200);
    expect([pulse.isSilent, pulse.isLongAgo(60_200)]).toEqual([false, false]);
  });

  it('finds a node silent also where the page stands still again and again', () => {
    const pulse = new Pulse(0);
    let looks = 0;
    for (; !pulse.isSilent && looks < 100; looks += 1) pulse.look(400 * looks);
    // Of the four tenths of a second between two looks two count.
    expect(looks).toBe(10);
  });
});

describe('the time that a page ran', () => {
  it('is all time but that in which it stood still, of which little counts, and late', () => {
    const time = new RunningTime(200);
    time.begin(1_000);
    expect([1_000, 1_100, 1_300].map((now) => time.look(now))).toEqual([0, 100, 300]);
    expect([9_000, 9_050].map((now) => time.look(now))).toEqual([300, 550]);
    time.begin(9_100);
    expect(time.look(9_150)).toBe(50);
  });
});
