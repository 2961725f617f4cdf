import { describe, expect, it } from 'vitest';
import { parseAudio, type SoundPacket } from '../src/audio/datagram.ts';
import { Haste } from '../src/audio/haste.ts';
import { decoderConfig, nameOf, within } from '../src/audio/layout.ts';
import { PacketOrder } from '../src/audio/order.ts';
import { Playout, SAMPLE_RATE } from '../src/audio/playout.ts';
import { parseRedundant } from '../src/audio/redundant.ts';
import { QUANTUM, Reserve } from '../src/audio/reserve.ts';
import { Hold, skewMs } from '../src/audio/skew.ts';
import { Unwrapped } from '../src/audio/unwrapped.ts';
import { asHeard } from '../src/session/stereo.ts';
import { PlayoutReader, RtcStatsReader } from '../src/stats/rtc.ts';
import { soundOf } from '../src/stats/sound.ts';
import { rtp } from '../src/units.ts';
import type { AudioStats } from '../src/wire/index.ts';

/** The bytes that a test of the node's writes (media/src/webtransport/audio.rs). */
const DATAGRAM = Uint8Array.of(0x11, 0x12, 1, 2, 3, 4, 5, 6, 4, 3, 132, 0, 1, 7, 8, 0, 3, 9, 10, 11, 12, 7, 8);

describe('the browser\'s own buffer', () => {
  it('does not compare the clocks of two contexts', () => {
    const haste = new Haste();
    for (let ms = 0; ms <= 60_000; ms += 250) expect(haste.wantsAnother(ms, ms, false)).toBe(false);
    // Another one was opened a moment ago, for a reason of others.
    haste.renew();
    expect(haste.wantsAnother(250, 60_500, false)).toBe(false);
    expect(haste.wantsAnother(500, 60_750, false)).toBe(false);
  });

  it('is as short as it can be until the context loses time', () => {
    const haste = new Haste();
    expect(haste.hint).toBe(0);
    // A clock that is a ten-thousandth slow, read with an error of 3 ms.
    for (let ms = 0; ms < 60_000; ms += 250) expect(haste.wantsAnother(ms * 0.9999 + (ms % 500 === 0 ? 3 : -3), ms, true)).toBe(false);
    // Ten minutes of suspension are none of it.
    expect(haste.wantsAnother(60_000, 660_000, true)).toBe(false);
    let looks = 0;
    while (!haste.wantsAnother(60_000 + 245 * looks, 660_000 + 250 * looks, false)) looks += 1;
    expect(looks).toBe(13);
    expect(haste.hint).toBe('interactive');
    expect(haste.wantsAnother(0, 700_000, true)).toBe(false);
  });

  it('is tried short again in a silence, later each time', () => {
    const haste = new Haste();
    let page = 0;
    const runsDry = (): void => {
      const from = page;
      while (!haste.wantsAnother((page - from) / 2, page, false)) page += 250;
      expect(haste.hint).toBe('interactive');
    };
    const waits = (): number => {
      const from = page;
      while (!haste.wantsAnother(0, page, page % 2_000 === 0)) page += 250;
      expect([haste.hint, page % 2_000]).toEqual([0, 0]);
      return Math.floor((page - from) / 60_000);
    };
    const minutes = Array.from({ length: 6 }, () => {
      runsDry();
      return waits();
    });
    expect(minutes).toEqual([1, 2, 4, 8, 16, 16]);
  });
});

describe('datagrams of sound', () => {
  it('are read as the node writes them', () => {
    expect(parseAudio(DATAGRAM)).toEqual([
      { sequence: 0x0102, rtp: 0x0304_0506, channels: 2, data: Uint8Array.of(7, 8) },
      { sequence: 0x0101, rtp: 0x0304_0506 - 900, channels: 2, data: Uint8Array.of(9) },
      { sequence: 0x0100, rtp: 0x0304_0506 - 2700, channels: 2, data: Uint8Array.of(10, 11, 12) },
    ]);
    const wide = DATAGRAM.slice();
    wide[8] = 0x44;
    expect(parseAudio(wide)?.map(({ channels }) => channels)).toEqual([6, 6, 6]);
  });

  it('are refused where they are cut, of another kind, or impossible', () => {
    for (let length = 0; length < DATAGRAM.length - 1; length += 1) expect(parseAudio(DATAGRAM.subarray(0, length)), `${length} bytes`).toBeUndefined();
    const wrong: readonly (readonly [number, number])[] = [[0, 0x10], [1, 0x22], [1, 0x13], [8, 0], [8, 49], [8, 0x80], [8, 0xc4], [12, 0], [16, 200]];
    for (const [at, byte] of wrong) {
      const bytes = DATAGRAM.slice();
      bytes[at] = byte;
      expect(parseAudio(bytes), `${byte} at ${at}`).toBeUndefined();
    }
  });

  it('are refused or read, whatever is in them', () => {
    let state = 1;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % below;
    };
    for (let run = 0; run < 5_000; run += 1) {
      const bytes = Uint8Array.from({ length: random(40) }, () => random(256));
      bytes.set([0x11, 0x10 | random(4)].slice(0, bytes.length));
      const packets = parseAudio(bytes) ?? [];
      expect(packets.reduce((sum, { data }) => sum + data.length, 0)).toBeLessThanOrEqual(bytes.length);
    }
  });
});

describe('packets with those before them', () => {
  /** The bytes that a test of the node's writes (transport/src/webrtc/red.rs). */
  const PAYLOAD = Uint8Array.of(0xef, 0x16, 0x80, 3, 0xef, 7, 0x80, 1, 0x6f, 10, 11, 12, 9, 7, 8);

  it('are read as the node writes them', () => {
    expect(parseRedundant(PAYLOAD, 1, rtp(1_000))).toEqual([
      { sequence: 1, rtp: 1_000, channels: 2, data: Uint8Array.of(7, 8) },
      { sequence: 0, rtp: 520, channels: 2, data: Uint8Array.of(9) },
      { sequence: 0xffff, rtp: 2 ** 32 - 440, channels: 2, data: Uint8Array.of(10, 11, 12) },
    ]);
    expect(parseRedundant(Uint8Array.of(0x6f, 7), 5, rtp(9))).toEqual([{ sequence: 5, rtp: 9, channels: 2, data: Uint8Array.of(7) }]);
    expect(parseRedundant(Uint8Array.of(6, 7), 5, rtp(9)), '5.1').toEqual([{ sequence: 5, rtp: 9, channels: 6, data: Uint8Array.of(7) }]);
  });

  it('are refused where they are cut or empty', () => {
    for (let length = 0; length < PAYLOAD.length - 1; length += 1) expect(parseRedundant(PAYLOAD.subarray(0, length), 1, rtp(1)), `${length} bytes`).toBeUndefined();
    const empty = PAYLOAD.slice();
    empty[7] = 0;
    expect(parseRedundant(empty, 1, rtp(1))).toBeUndefined();
  });

  it('are refused or read, whatever is in them', () => {
    let state = 7;
    for (let run = 0; run < 5_000; run += 1) {
      const bytes = Uint8Array.from({ length: run % 40 }, () => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 24);
      const packets = parseRedundant(bytes, 3, rtp(3)) ?? [];
      expect(packets.reduce((sum, { data }) => sum + data.length, 0)).toBeLessThanOrEqual(bytes.length);
    }
  });
});

describe('channels', () => {
  it('are the most that there is room for', () => {
    expect([0, 1, 2, 5, 6, 7, 8, 32].map(within)).toEqual([2, 2, 2, 2, 6, 6, 8, 8]);
    expect([2, 6, 8].map(nameOf)).toEqual(['stereo', '5.1', '7.1']);
  });

  it('are described to the decoder where there are more than two', () => {
    expect(decoderConfig(2)).toEqual({ codec: 'opus', sampleRate: 48_000, numberOfChannels: 2 });
    const { numberOfChannels, description } = decoderConfig(6);
    const head = [...new TextEncoder().encode('OpusHead'), 1, 6, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 1, 4, 2, 0, 4, 1, 2, 3, 5];
    expect([numberOfChannels, [...(description as Uint8Array)]]).toEqual([6, head]);
    expect((decoderConfig(8).description as Uint8Array).length).toBe(29);
  });
});

describe('packets in order', () => {
  const packet = (sequence: number): SoundPacket => ({ sequence: sequence & 0xffff, rtp: rtp(sequence * 900), channels: 2, data: new Uint8Array(1) });
  const numbers = (packets: readonly SoundPacket[]): readonly number[] => packets.map(({ sequence }) => sequence);

  it('come once each, and copies stand in for what is lost', () => {
    const order = new PacketOrder();
    expect(numbers(order.push([packet(0xfffe)]))).toEqual([0xfffe]);
    expect(numbers(order.push([packet(0xffff), packet(0xfffe)]))).toEqual([0xffff]);
    expect(numbers(order.push([packet(0x10001), packet(0x10000), packet(0xffff)]))).toEqual([0, 1]);
    // Three are missing, of which two come after all.
    expect(numbers(order.push([packet(0x10005), packet(0x10004), packet(0x10003)]))).toEqual([3, 4, 5]);
    expect(numbers(order.push([packet(0x10002)]))).toEqual([]);
    expect(numbers(order.push([packet(0x10005)]))).toEqual([]);
    expect(order.figures).toEqual({ expected: 8, lost: 1, recovered: 3 });
  });

  it('begin anew after a jump', () => {
    const order = new PacketOrder();
    order.push([packet(5)]);
    expect(numbers(order.push([packet(5_000)]))).toEqual([5_000]);
    expect(order.figures.lost).toBe(0);
  });
});

it('timestamps grow across their wrap', () => {
  const times = new Unwrapped();
  const first = times.of(rtp(0xffff_ff00));
  expect(times.of(rtp(0x100)) - first).toBe(0x200);
  expect(times.of(rtp(0xffff_ff80)) - first).toBe(0x80);
});

describe('the reserve', () => {
  const SECOND = SAMPLE_RATE;

  it('grows with each late block up to a bound, and shrinks while none is', () => {
    const reserve = new Reserve();
    expect(reserve.margin).toBe(QUANTUM);
    const margins = Array.from({ length: 9 }, (_, n) => {
      reserve.late(n);
      return reserve.margin / QUANTUM;
    });
    expect(margins).toEqual([2, 3, 4, 5, 6, 7, 8, 8, 8]);
    const after = (seconds: number): number => {
      reserve.early(500, seconds * SECOND);
      return reserve.margin / QUANTUM;
    };
    expect([4, 6, 10, 12, 17].map(after)).toEqual([8, 7, 7, 6, 5]);
    reserve.late(17.5 * SECOND);
    expect([18, 22, 23].map(after)).toEqual([6, 6, 5]);
    for (let seconds = 30; seconds < 100; seconds += 1) after(seconds);
    expect(after(100), 'one call at the least').toBe(1);
  });

  it('is the least of the last second or two', () => {
    const reserve = new Reserve();
    expect([700, 300, 500].map((early, at) => reserve.early(early, (at * SECOND) / 4))).toEqual([700, 300, 300]);
    expect(reserve.isKnown).toBe(false);
    expect(reserve.early(600, 1.1 * SECOND)).toBe(300);
    expect(reserve.isKnown).toBe(true);
    expect(reserve.early(650, 2.2 * SECOND)).toBe(600);
    reserve.forget(2.3 * SECOND);
    expect([reserve.early(900, 2.4 * SECOND), reserve.isKnown]).toEqual([900, false]);
    for (let block = 1; block < 8; block += 1) {
      expect(reserve.newest, 'few tell little').toBe(0);
      reserve.early(900 - block, 2.4 * SECOND);
    }
    expect(reserve.newest).toBe(893);
  });

  it('is known sooner as it begins', () => {
    const reserve = new Reserve();
    const early = (samples: number, seconds: number): number => reserve.early(samples, seconds * SECOND, true);
    expect([early(100, 0), early(700, 0.2), early(700, 0.3), early(700, 0.6)]).toEqual([100, 100, 100, 700]);
  });

  it('shows that a thread stood still by what all blocks have more than any before', () => {
    const reserve = new Reserve();
    const come = (...early: readonly number[]): number => {
      for (const samples of early) reserve.early(samples, SECOND);
      return reserve.stood;
    };
    const eight = (samples: number): number[] => Array.from({ length: 8 }, () => samples);
    expect(come(...eight(300), ...eight(250)), 'as before').toBe(0);
    expect(come(1_300, 1_250, 1_300, 1_280, 1_250, 1_300, 1_300), 'one is older').toBe(0);
    expect(come(1_290)).toBe(1_000);
    reserve.skipped();
    expect(come(...eight(300))).toBe(0);
    expect(come(1_300, 200, ...eight(290)), 'one alone').toBe(0);
  });
});

/** Blocks of 10 ms of a tone, each when it comes, while the audio thread asks for 128 samples at a time. */
class Listening {
  readonly playout = new Playout();
  readonly heard: number[] = [];
  private sent = 0;
  /** Samples of the listener's clock. */
  private now = 0;

  constructor(private start: number, private readonly delay: (block: number) => number, private readonly drift = 1, private readonly lost: (block: number) => boolean = () => false) {}

  play(seconds: number): void {
    const end = this.now + seconds * SAMPLE_RATE;
    const [left, right] = [new Float32Array(128), new Float32Array(128)];
    while (this.now < end) {
      for (;;) {
        // A block is sent when it is over.
        const comes = (this.sent + 1) * 480 * this.drift + this.delay(this.sent);
        if (comes > this.now) break;
        if (!this.lost(this.sent)) this.block(this.sent);
        this.sent += 1;
      }
      this.playout.render([left, right]);
      this.heard.push(...left);
      this.now += 128;
    }
  }

  /** The source goes on elsewhere on its timeline. */
  jump(samples: number): void {
    this.start += samples;
  }

  /** The browser's audio thread stands still for so long. */
  stall(seconds: number): void {
    this.now += seconds * SAMPLE_RATE;
  }

  private block(block: number): void {
    const samples = Float32Array.from({ length: 480 }, (_, n) => 0.5 * Math.sin(((block * 480 + n) / 48) * 2 * Math.PI));
    this.playout.push(this.start + block * 480, [samples, samples]);
  }

  /** Samples from the middle of a block to its being heard, about. */
  get delayed(): number {
    return this.now - ((this.playout.at ?? 0) - this.start);
  }

  /** The largest step between two samples since so many ago; the tone itself has 0.066. */
  step(last: number): number {
    const part = this.heard.slice(-last);
    return part.slice(1).reduce((most, sample, at) => Math.max(most, Math.abs(sample - (part[at] ?? 0))), 0);
  }
}

describe('playout', () => {
  it('plays what comes, a little later, without a gap', () => {
    const listening = new Listening(1_000_000, () => 0);
    listening.play(4);
    const { late, starved } = listening.playout.figures;
    expect({ late, starved }).toEqual({ late: 0, starved: 0 });
    expect(listening.step(SAMPLE_RATE)).toBeLessThan(0.07);
    expect(listening.delayed / 48).toBeGreaterThan(10);
    expect(listening.delayed / 48, 'a block, two calls and what is not corrected').toBeLessThan(20);
  });

  it('is near its margin within the first second', () => {
    const listening = new Listening(0, () => 0);
    listening.play(1);
    expect(listening.delayed / 48, 'a block, one call, the one in which it comes, and what is left').toBeLessThan(18);
    expect(listening.playout.figures).toMatchObject({ late: 0, starved: 0 });
  });

  it('has its margin and no more after a while', () => {
    const listening = new Listening(0, () => 0);
    listening.play(20);
    expect(listening.delayed / 48, 'a block, one call, and the one in which it comes').toBeLessThan(15.5);
    expect(listening.playout.figures).toMatchObject({ late: 0, starved: 0 });
  });

  it('keeps nothing of a block that was late as it began', () => {
    const listening = new Listening(0, (block) => (block === 20 ? 25 * 48 : 0));
    listening.play(1);
    expect(listening.playout.figures.late).toBe(1);
    expect(listening.delayed / 48, 'a block, one call, and the one in which it comes').toBeLessThan(15.5);
  });

  it('begins anew where its source does, whatever was late before', () => {
    const listening = new Listening(0, (block) => ([100, 150, 220].includes(block) ? 25 * 48 : 0));
    listening.play(2);
    expect(listening.playout.figures.late).toBe(2);
    listening.jump(100 * SAMPLE_RATE);
    listening.play(1);
    expect(listening.playout.figures.late).toBe(3);
    expect(listening.delayed / 48, 'as at first').toBeLessThan(15.5);
  });

  it('keeps nothing for long of one that was nearly late as it began', () => {
    const listening = new Listening(0, (block) => (block === 20 ? 8 * 48 : 0));
    listening.play(1.5);
    expect(listening.playout.figures.late).toBe(0);
    expect(listening.delayed / 48).toBeLessThan(17);
  });

  it('learns soon that a path is uneven from the beginning', () => {
    const listening = new Listening(0, (block) => (block % 10 === 9 ? 20 * 48 : 0));
    listening.play(1);
    const { late } = listening.playout.figures;
    expect(late, 'two that tell nothing, and those by which the margin grows').toBeLessThanOrEqual(6);
    listening.play(9);
    expect(listening.playout.figures.late).toBe(late);
  });

  it('waits as long as the path is uneven, and no longer', () => {
    const listening = new Listening(0, (block) => (block % 7 === 3 ? 40 * 48 : 0));
    listening.play(6);
    const before = listening.playout.figures;
    listening.play(4);
    expect(listening.playout.figures).toMatchObject({ late: before.late, starved: before.starved });
    expect(listening.delayed / 48).toBeGreaterThan(48);
    expect(listening.delayed / 48).toBeLessThan(70);
  });

  it('shortens again once the path is even', () => {
    let uneven = true;
    const listening = new Listening(0, (block) => (uneven && block % 7 === 3 ? 40 * 48 : 0));
    listening.play(4);
    uneven = false;
    listening.play(15);
    expect(listening.delayed / 48).toBeLessThan(25);
    expect(listening.step(SAMPLE_RATE)).toBeLessThan(0.07);
  });

  it.each([0.9995, 1.0005])('follows a clock that runs at %d of its own', (drift) => {
    const listening = new Listening(0, () => 0, drift);
    listening.play(60);
    const { late, starved } = listening.playout.figures;
    expect({ late, starved }).toEqual({ late: 0, starved: 0 });
    expect(listening.step(SAMPLE_RATE)).toBeLessThan(0.07);
  });

  it('fades over what is lost', () => {
    const listening = new Listening(0, () => 0, 1, (block) => block === 300);
    listening.play(4);
    expect(listening.playout.figures.starved).toBeGreaterThan(0);
    // Without a fade the tone would break off: a step of up to a half.
    expect(listening.step(3 * SAMPLE_RATE)).toBeLessThan(0.2);
  });

  it('goes on after a silence that was not sent as if it had been', () => {
    const listening = new Listening(0, () => 0, 1, (block) => block >= 200 && block < 400);
    listening.play(2);
    const before = listening.delayed;
    listening.play(3);
    expect(Math.abs(listening.delayed - before)).toBeLessThan(200);
    expect(listening.playout.figures.late).toBe(0);
    expect(Math.max(...listening.heard.slice(3 * SAMPLE_RATE, 3.5 * SAMPLE_RATE))).toBe(0);
    expect(Math.max(...listening.heard.slice(-SAMPLE_RATE / 2))).toBeGreaterThan(0.45);
  });

  it('begins with the newest once the browser plays', () => {
    const listening = new Listening(0, () => 0);
    listening.stall(0.4);
    listening.play(0.1);
    expect(listening.delayed / 48).toBeLessThan(35);
  });

  it('skips at once what a thread left over that stood still as it began', () => {
    const listening = new Listening(0, () => 0);
    listening.play(0.05);
    listening.stall(0.06);
    listening.play(0.2);
    expect(listening.delayed / 48).toBeLessThan(30);
  });

  it('skips what a thread left over that stood still, and knows the path as before', () => {
    const listening = new Listening(0, (block) => (block % 7 === 3 ? 10 * 48 : 0));
    listening.play(4);
    const [before, { late, starved }] = [listening.delayed, listening.playout.figures];
    for (const stall of [0.02, 0.05, 0.1]) {
      listening.stall(stall);
      listening.play(0.25);
      expect(Math.abs(listening.delayed - before) / 48, `${stall} s`).toBeLessThan(6);
      listening.play(1);
    }
    expect(listening.playout.figures).toMatchObject({ late, starved });
  });

  it('is later where it is held, and back when it is not', () => {
    const listening = new Listening(0, () => 0);
    listening.play(3);
    const before = listening.delayed;
    listening.playout.setHold(40 * 48);
    listening.play(20);
    expect((listening.delayed - before) / 48).toBeGreaterThan(34);
    expect((listening.delayed - before) / 48).toBeLessThan(46);
    expect(listening.step(SAMPLE_RATE)).toBeLessThan(0.07);
    listening.playout.setHold(0);
    listening.play(20);
    expect(Math.abs(listening.delayed - before) / 48).toBeLessThan(8);
  });

  it('plays each channel in its place, and of fewer the first ones', () => {
    const playout = new Playout(6);
    const out = Array.from({ length: 6 }, () => new Float32Array(128));
    const levels = (at: number, count: number): number[] => {
      const block = Array.from({ length: count }, (_, channel) => new Float32Array(512).fill((channel + 1) / 8));
      for (let n = 0; n < 10; n += 1) {
        playout.push(at + n * 512, block);
        for (let turn = 0; turn < 4; turn += 1) playout.render(out);
      }
      return out.map((samples) => samples[0] ?? 0);
    };
    expect(levels(0, 6)).toEqual([1, 2, 3, 4, 5, 6].map((channel) => channel / 8));
    expect(levels(5_120, 2)).toEqual([0.125, 0.25, 0, 0, 0, 0]);
    expect(levels(10_240, 8), 'more than there are').toEqual([1, 2, 3, 4, 5, 6].map((channel) => channel / 8));
    expect(playout.figures.energy).toBeGreaterThan(100);
  });

  it('leaves out what is far too much, and what cannot be', () => {
    const playout = new Playout();
    const block = new Float32Array(480);
    playout.push(0, [block, block]);
    for (const at of [Number.NaN, 0.5, Number.POSITIVE_INFINITY]) playout.push(at, [block, block]);
    playout.push(0, [new Float32Array(0), block]);
    playout.push(0, []);
    playout.push(0, [new Float32Array(20_000), new Float32Array(20_000)]);
    playout.push(0, [block, new Float32Array(3)]);
    expect(playout.figures.buffered).toBeLessThan(2_000);
    playout.push(40_000, [block, block]);
    expect(playout.figures.buffered).toBeLessThan(2_000);
  });
});

describe('sound and picture', () => {
  it('are apart by when each is noticed, less when each was', () => {
    const heard = (samples: number, at: number) => ({ samples, at });
    const seen = (timestamp: number, at: number) => ({ rtp: rtp(timestamp), at });
    expect(skewMs(heard(480, 130), seen(900, 100))).toBe(30);
    expect(skewMs(heard(960, 130), seen(900, 100))).toBe(20);
    expect(skewMs(heard(240, 100), seen(0xffff_fe3e, 100))).toBeCloseTo(-10);
  });

  it('are compared across the wraps of both clocks', () => {
    for (const seconds of [0, 40_000, 100_000, 500_000]) {
      const at = (milliseconds: number, hertz: number): number => ((seconds * 1000 + milliseconds) * hertz / 1000) % 2 ** 32;
      const picture = { rtp: rtp(at(20, 90_000)), at: 60 };
      expect(skewMs({ samples: at(0, 48_000), at: 70 }, picture)).toBeCloseTo(30, 0);
      expect(skewMs({ samples: seconds * 48_000, at: 70 }, picture), 'not wrapped').toBeCloseTo(30, 0);
    }
  });

  it('are brought together by delaying the sound, never the picture', () => {
    const hold = new Hold();
    expect(hold.follow(60)).toBe(0);
    let [held, skew] = [0, -50];
    for (let report = 0; report < 40; report += 1) {
      held = hold.follow(skew);
      skew = -50 + held;
    }
    expect(Math.abs(skew)).toBeLessThanOrEqual(10);
    for (let report = 0; report < 40; report += 1) held = hold.follow(60);
    expect(held).toBe(0);
    expect(new Hold().follow(-1e9)).toBe(250);
  });
});

it('an offer asks for both channels, once', () => {
  const sdp = ['m=audio 9 UDP/TLS/RTP/SAVPF 111 63', 'a=rtpmap:111 opus/48000/2', 'a=fmtp:111 minptime=10;useinbandfec=1', 'a=rtpmap:63 red/48000/2', 'a=fmtp:63 111/111', ''].join('\r\n');
  const asked = asHeard({ type: 'offer', sdp }, true);
  expect(asked.sdp).toBe(sdp.replace('useinbandfec=1', 'useinbandfec=1;stereo=1'));
  expect(asHeard(asked, true)).toEqual(asked);
  expect(asHeard({ type: 'offer' }, true)).toEqual({ type: 'offer' });
  expect(asHeard({ type: 'offer', sdp }, false).sdp, 'decoded by the page').toBe(sdp.replace('useinbandfec=1', 'stereo=1'));
});

it('the browser’s figures of sound are those of its way', () => {
  const reader = new RtcStatsReader();
  const report = (delay: number, emitted: number): Map<string, unknown> => new Map([
    ['v', { type: 'inbound-rtp', kind: 'video' }],
    ['a', {
      type: 'inbound-rtp', kind: 'audio', packetsLost: 3, packetsReceived: 97, concealedSamples: 1_440, silentConcealedSamples: 480, fecPacketsReceived: 4, fecPacketsDiscarded: 2,
      jitterBufferDelay: delay, jitterBufferEmittedCount: emitted,
    }],
  ]);
  reader.read(report(10, 480));
  expect(reader.read(report(34, 960))?.sound).toEqual({ expected: 100, lost: 3, recovered: 2, concealed: '20 ms', bufferMs: 50 });
  expect(reader.read(new Map([['v', { type: 'inbound-rtp', kind: 'video' }]]))?.sound).toBeUndefined();
});

it('the device’s own time is an average between two readings', () => {
  const reader = new PlayoutReader();
  const report = (delay: number, samples: number): Map<string, unknown> => new Map([
    ['v', { type: 'inbound-rtp', totalPlayoutDelay: 9 }],
    ['p', { type: 'media-playout', totalPlayoutDelay: delay, totalSamplesCount: samples }],
  ]);
  expect(reader.read(new Map([['v', {}]]))).toBeUndefined();
  expect(reader.read(report(24, 480))).toBe(50);
  expect(reader.read(report(24 + 480 * 0.027, 960))).toBeCloseTo(27);
  expect(reader.read(report(24 + 480 * 0.027, 960))).toBeUndefined();
});

it('sound is told in words', () => {
  const sent: AudioStats = { codec: 'Opus', channels: 2, kbps: 128, target_kbps: 128, silent: false, expected_loss: 0, refused: 0 };
  expect(soundOf(undefined, undefined, undefined, undefined)).toBe('none');
  expect(soundOf({ ...sent, failed: 'no library' }, undefined, undefined, undefined)).toBe('none: no library');
  expect(soundOf({ ...sent, silent: true }, undefined, undefined, undefined)).toBe('Opus, silent now');
  expect(soundOf({ ...sent, channels: 6, kbps: 310 }, undefined, undefined, undefined)).toBe('Opus 5.1, 310 kbit/s');
  const path = { expected: 200, lost: 2, recovered: 1, concealed: '20 ms', bufferMs: 41.2 };
  expect(soundOf(sent, path, undefined, -3)).toBe('Opus, 128 kbit/s, 2 of 200 packets lost, 1 made up for, concealed 20 ms, buffer 41 ms, 3 ms before the picture');
  const played = { bufferMs: 18, concealed: 1, energy: 1 };
  expect(soundOf(sent, { expected: 200, lost: 0, recovered: 0 }, played, 12)).toBe('Opus, 128 kbit/s, 0 of 200 packets lost, concealed 1 times, buffer 18 ms, 12 ms after the picture');
});
