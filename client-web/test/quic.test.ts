import { describe, expect, it } from 'vitest';
import { FrameAssembler, type ReceivedFrame } from '../src/quic/assembler.ts';
import { CODECS, codecString, type VideoCodec } from '../src/quic/codec.ts';
import { colorSpace } from '../src/quic/color.ts';
import { ControlReader, datagram, frameControl, frameInput, MOST_CONTROL } from '../src/quic/framing.ts';
import { MOST_WAITING, ReferenceGate, type Verdict } from '../src/quic/gate.ts';
import { FrameError, MOST_BYTES, parseHeader } from '../src/quic/header.ts';
import { PieceReader } from '../src/quic/pieces.ts';
import { ASK_EVERY_MS, DecoderWatch, KeyframeWish, STUCK_LOOK_MS, STUCK_MS } from '../src/quic/watch.ts';
import type { Micros } from '../src/units.ts';

const fromHex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
const at = (us: number): Micros => us as Micros;

/** The vector of media/src/webtransport.rs. */
const HEADER = [1, 2, 2, 3, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 5, 6, 0, 0, 0, 0, 0, 0, 5, 4, 0, 1, 2, 3, 9, 16, 9, 2];
const header = (changes: Readonly<Record<number, number>> = {}): Uint8Array => Uint8Array.from(HEADER, (byte, index) => changes[index] ?? byte);

describe('the header of a frame', () => {
  it('is read as the server writes it', () => {
    expect(parseHeader(header())).toEqual({
      key: false, recovery: true, track: 2, codec: 'VP9', rtp: 0x0102_0304, id: 0x0506, refersTo: 0x0504, bytes: 0x0001_0203,
      color: { primaries: 9, transfer: 16, matrix: 9, fullRange: false, tenBits: true },
    });
    // One that is sent while it is coded.
    expect(parseHeader(header({ 25: 0, 26: 0, 27: 0 })).bytes).toBeUndefined();
    const none = Object.fromEntries(Array.from({ length: 8 }, (_, index) => [16 + index, 255]));
    expect(parseHeader(header({ ...none, 1: 1, 31: 1 }))).toMatchObject({ key: true, recovery: false, refersTo: undefined, color: { fullRange: true, tenBits: false } });
  });

  it.each([
    ['version', { 0: 2 }], ['codec', { 3: CODECS.length }], ['length', { 24: 2 }],
    ['id', { 8: 1 }], ['id', { 15: 4 }],
  ] as const)('with an impossible %s is refused', (reason, changes) => {
    expect(() => parseHeader(header(changes))).toThrow(expect.objectContaining({ name: 'FrameError', reason }) as FrameError);
  });
});

describe('a frame', () => {
  const body = Uint8Array.from({ length: 70 }, (_, index) => index);
  const stream = Uint8Array.from([...header({ 25: 0, 26: 0, 27: body.length }), ...body]);

  it.each([1, 5, 31, 32, 33, 101, 102])('comes together from pieces of %d bytes', (size) => {
    const assembler = new FrameAssembler();
    const frames: (ReceivedFrame | undefined)[] = [];
    for (let from = 0; from < stream.length; from += size) frames.push(assembler.push(stream.subarray(from, from + size), at(from)));
    const frame = frames.pop();
    expect(frames.every((other) => other === undefined)).toBe(true);
    expect(frame).toMatchObject({ id: 0x0506, firstAt: 0, lastAt: Math.floor((stream.length - 1) / size) * size });
    expect(frame?.data).toEqual(body);
    expect(() => assembler.push(Uint8Array.of(0), at(0))).toThrow(FrameError);
  });

  it('is never larger than it says, and takes no memory for one that says too much', () => {
    expect(() => new FrameAssembler().push(Uint8Array.from([...stream, 0]), at(0))).toThrow(FrameError);
    const huge = header();
    new DataView(huge.buffer).setUint32(24, MOST_BYTES + 1);
    expect(() => new FrameAssembler().push(huge, at(0))).toThrow(FrameError);
  });

  it.each([1, 33, 50, 102])('that is sent while it is coded comes together from pieces of %d bytes, and ends with its stream', (size) => {
    const open = Uint8Array.from([...header({ 25: 0, 26: 0, 27: 0 }), ...body]);
    const assembler = new FrameAssembler();
    for (let from = 0; from < open.length; from += size) {
      expect(assembler.push(open.subarray(from, from + size), at(from))).toBeUndefined();
    }
    const frame = assembler.end();
    expect(frame).toMatchObject({ id: 0x0506, bytes: undefined, firstAt: 0, lastAt: Math.floor((open.length - 1) / size) * size });
    expect(frame?.data).toEqual(body);
  });

  it('that is sent while it is coded may be large, and no larger than any', () => {
    const assembler = new FrameAssembler();
    assembler.push(header({ 25: 0, 26: 0, 27: 0 }), at(0));
    const piece = new Uint8Array(MOST_BYTES / 16).fill(7);
    for (let n = 0; n < 16; n += 1) expect(assembler.push(piece, at(n))).toBeUndefined();
    expect(assembler.end()?.data.length).toBe(MOST_BYTES);
    expect(() => assembler.push(Uint8Array.of(0), at(17))).toThrow(FrameError);
    const told = new FrameAssembler();
    told.push(stream.subarray(0, 40), at(0));
    expect(told.end()).toBeUndefined();
  });

  it('of any bytes, cut anyhow, is refused or holds just what came', () => {
    let seed = 3;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * below);
    };
    let [refused, whole, ended] = [0, 0, 0];
    for (let round = 0; round < 2_000; round += 1) {
      const length = random(3) * random(40);
      const bytes = Uint8Array.from([...header({ 25: 0, 26: 0, 27: [0, length, random(60)][random(3)] ?? 0 }), ...body.subarray(0, length)]);
      if (random(4) === 0) bytes[random(HEADER.length)] = random(256);
      const assembler = new FrameAssembler();
      let frame: ReceivedFrame | undefined;
      try {
        for (let from = 0; from < bytes.length;) {
          const piece = bytes.subarray(from, from + 1 + random(50));
          frame = assembler.push(piece, at(from)) ?? frame;
          from += piece.length;
        }
      } catch (error) {
        expect(error).toBeInstanceOf(FrameError);
        refused += 1;
        continue;
      }
      if (frame === undefined) frame = assembler.end();
      else expect(assembler.end()).toBeUndefined();
      if (frame === undefined) continue;
      expect(frame.data).toEqual(body.subarray(0, length));
      expect([undefined, length]).toContain(frame.bytes);
      if (frame.bytes === undefined) ended += 1;
      else whole += 1;
    }
    for (const count of [refused, whole, ended]) expect(count).toBeGreaterThan(10);
  });

  it('is known by its header before the rest came', () => {
    const assembler = new FrameAssembler();
    expect(assembler.header).toBeUndefined();
    assembler.push(stream.subarray(0, 40), at(0));
    expect(assembler.header?.id).toBe(0x0506);
  });
});

interface Coded {
  readonly id: number;
  readonly key: boolean;
  readonly refersTo: number | undefined;
}
const key = (id: number): Coded => ({ id, key: true, refersTo: undefined });
const delta = (id: number, refersTo = id - 1): Coded => ({ id, key: false, refersTo });
const ids = ({ decode, drop }: Verdict<Coded>): readonly [readonly number[], readonly number[]] => [decode.map(({ id }) => id), drop.map(({ id }) => id)];

describe('the gate before the decoder', () => {
  const after = (...frames: Coded[]): ReferenceGate<Coded> => {
    const gate = new ReferenceGate<Coded>();
    for (const frame of frames) gate.push(frame);
    return gate;
  };

  it('lets frames through in the order in which they were coded', () => {
    const gate = after(key(0));
    expect(ids(gate.push(delta(2)))).toEqual([[], []]);
    expect(ids(gate.push(delta(3)))).toEqual([[], []]);
    expect(gate.held).toBe(2);
    expect(ids(gate.push(delta(1)))).toEqual([[1, 2, 3], []]);
    expect(gate.held).toBe(0);
  });

  it('waits for the keyframe that everything refers to', () => {
    const gate = new ReferenceGate<Coded>();
    expect(gate.awaitsKey).toBe(true);
    expect(ids(gate.push(delta(11)))).toEqual([[], []]);
    expect(ids(gate.push(key(10)))).toEqual([[10, 11], []]);
    expect(gate.awaitsKey).toBe(false);
  });

  it('takes numbers that the encoder skipped for no loss', () => {
    expect(ids(after(key(0)).push(delta(7, 0)))).toEqual([[7], []]);
  });

  it('drops what a lost frame leaves behind, until the encoder went back', () => {
    const gate = after(key(0), delta(1), delta(3), delta(4));
    expect(ids(gate.lose(2))).toEqual([[], [3, 4]]);
    expect(ids(gate.push(delta(5)))).toEqual([[], [5]]);
    expect(ids(gate.push(delta(6, 1)))).toEqual([[6], []]);
    expect(ids(gate.push(delta(7)))).toEqual([[7], []]);
  });

  it('does not wait for older frames once the encoder went back behind them', () => {
    const gate = after(key(0), delta(1), delta(3));
    expect(ids(gate.push(delta(5, 1)))).toEqual([[5], [3]]);
    expect(ids(gate.push(delta(2)))).toEqual([[], [2]]);
    expect(ids(gate.push(delta(4)))).toEqual([[], [4]]);
  });

  it('begins anew with any keyframe', () => {
    const gate = after(key(0), delta(2));
    expect(ids(gate.push(key(5)))).toEqual([[5], [2]]);
    // What was decoded before a keyframe is gone.
    expect(ids(gate.push(delta(6, 0)))).toEqual([[], [6]]);
  });

  it('after the decoder failed lets nothing through but what follows a keyframe', () => {
    const gate = after(key(0), delta(1));
    expect(ids(gate.restart())).toEqual([[], []]);
    expect(ids(gate.push(delta(2)))).toEqual([[], [2]]);
    expect(ids(gate.push(delta(3)))).toEqual([[], [3]]);
    expect(ids(gate.push(delta(5)))).toEqual([[], []]);
    expect(ids(gate.push(key(4)))).toEqual([[4, 5], []]);
  });

  it('shows a frame twice to nobody', () => {
    const gate = after(key(0), delta(1));
    expect(ids(gate.push(delta(1)))).toEqual([[], [1]]);
    gate.push(delta(3));
    expect(ids(gate.push(delta(3)))).toEqual([[], [3]]);
  });

  it('holds no more than it may', () => {
    const gate = after(key(0));
    for (let id = 2; id < 2 + MOST_WAITING; id += 1) expect(ids(gate.push(delta(id)))).toEqual([[], []]);
    expect(gate.push(delta(2 + MOST_WAITING)).drop).toHaveLength(MOST_WAITING + 1);
    expect(gate.awaitsKey).toBe(true);
    expect(ids(gate.push(delta(1)))).toEqual([[], [1]]);
  });

  it('remembers long enough, and believes the server beyond that', () => {
    const gate = after(key(0));
    for (let id = 1; id <= 2_000; id += 1) gate.push(delta(id));
    expect(ids(gate.push(delta(2_001, 3)))).toEqual([[2_001], []]);
  });

  it('never decodes a frame without what it needs, however frames come', () => {
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * below);
    };
    for (let round = 0; round < 200; round += 1) {
      const gate = new ReferenceGate<Coded>();
      const frames = Array.from({ length: 40 }, (_, id) => (id === 0 || random(15) === 0 ? key(id) : delta(id, id - 1 - (random(6) === 0 ? random(Math.min(id, 5)) : 0))));
      const order = frames.map((frame) => ({ frame, place: frame.id + random(6) })).sort((a, b) => a.place - b.place);
      const decoded: number[] = [];
      const told = new Set<number>();
      for (const { frame } of order) {
        const verdict = random(8) === 0 ? gate.lose(frame.id) : gate.push(frame);
        for (const { id, key: isKey, refersTo } of verdict.decode) {
          expect(id).toBeGreaterThan(decoded.at(-1) ?? -1);
          expect(isKey || decoded.includes(refersTo ?? -1)).toBe(true);
          decoded.push(id);
        }
        for (const { id } of [...verdict.decode, ...verdict.drop]) {
          expect(told.has(id)).toBe(false);
          told.add(id);
        }
      }
    }
  });
});

/** Starts of keyframes as encoders wrote them: x264, x265, libvpx, libaom, SVT-AV1, rav1e. */
const KEYFRAMES: readonly (readonly [VideoCodec, string, string])[] = [
  ['H264', 'avc1.42c01e', '000000016742c01ed900a02ff970110000030001000003003c0f162e480000000168cb83cb20'],
  ['H265', 'hev1.1.6.L63.90', '0000000140010c01ffff01600000030090000003000003003f9598090000000142010101600000030090000003000003003fa00502016965959a4932bc05a02000000300200000'],
  ['H265', 'hev1.2.4.L93.90', '0000000140010c01ffff02200000030090000003000003005d9598090000000142010102200000030090000003000003005da00280802d1365959a4932bc05a02000000300200000'],
  ['VP8', 'vp8', '909c009d012a800268010047088585888584880202'],
  ['VP9', 'vp09.00.30.08', '824983420027f016760a38241c184a1005587fd1fa3e8fe7'],
  ['VP9', 'vp09.02.41.10', '92498342003bf821bb0e1c120e0c2c0c02647fd5fa3e8be6'],
  ['VP9', 'vp09.01.20.08', 'a249834200027e0166c1870483830940012e7fd1fa3e8f6b'],
  ['AV1', 'av01.0.01M.08', '12000a0b0000000cc4ff6736be4010328a18100090002698'],
  ['AV1', 'av01.0.08M.10', '12000a0b00000042a67fd9e7dfca0232803610008d008000'],
  ['AV1', 'av01.0.31M.08', '12000a0e000000fa627fb38842b20404042832861d100227'],
];

describe('the codec string', () => {
  it.each(KEYFRAMES)('of %s is %s', (codec, string, bytes) => {
    expect(codecString(codec, fromHex(bytes))).toBe(string);
  });

  it.each(KEYFRAMES)('of %s (%s) is none where the headers are cut off, or anything else stands there', (codec, string, bytes) => {
    const whole = fromHex(bytes);
    for (let length = 0; length < whole.length; length += 1) expect([undefined, string]).toContain(codecString(codec, whole.subarray(0, length)));
    let seed = 1;
    for (let round = 0; round < 300; round += 1) {
      const bad = whole.map((byte) => {
        seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
        return seed % 5 === 0 ? (seed >> 8) & 0xff : byte;
      });
      expect(['string', 'undefined']).toContain(typeof codecString(codec, bad));
    }
  });

  it('of a frame that is no keyframe is none', () => {
    expect(codecString('H264', fromHex('00000001419a24'))).toBeUndefined();
    expect(codecString('VP8', fromHex('b1010011000a10'))).toBeUndefined();
    expect(codecString('VP9', fromHex('86004092'))).toBeUndefined();
    expect(codecString('AV1', fromHex('1200320610'))).toBeUndefined();
  });
});

describe('the colours of a stream', () => {
  const coded = { primaries: 1, transfer: 1, matrix: 1, fullRange: false, tenBits: false };
  it('have the names of WebCodecs', () => {
    expect(colorSpace(coded)).toEqual({ primaries: 'bt709', transfer: 'bt709', matrix: 'bt709', fullRange: false });
    expect(colorSpace({ ...coded, matrix: 6, fullRange: true })).toMatchObject({ matrix: 'smpte170m', fullRange: true });
  });

  it('are the stream’s own where a name is missing', () => {
    expect(colorSpace({ ...coded, transfer: 2 })).toBeUndefined();
  });
});

describe('messages beside the frames', () => {
  const control = (...texts: string[]): Uint8Array => Uint8Array.from(texts.flatMap((text) => [...(frameControl(text) ?? [])]));

  it('of the control stream have their length before them', () => {
    expect([...(frameControl('{"é":1}') ?? [])]).toEqual([0, 0, 0, 8, 123, 34, 195, 169, 34, 58, 49, 125]);
    expect(frameControl('x'.repeat(MOST_CONTROL + 1))).toBeUndefined();
  });

  it.each([1, 2, 3, 7, 64])('of the control stream are read in pieces of %d', (size) => {
    const reader = new ControlReader();
    const bytes = control('{"type":"ping"}', '', '{"é":1}');
    const read: string[] = [];
    for (let from = 0; from < bytes.length; from += size) read.push(...reader.push(bytes.subarray(from, from + size)));
    expect(read).toEqual(['{"type":"ping"}', '', '{"é":1}']);
  });

  it('of the control stream are never longer than allowed', () => {
    expect(() => new ControlReader().push(Uint8Array.of(0, 1, 0, 1))).toThrow(RangeError);
  });

  it('of input and in datagrams say what they are', () => {
    expect([...frameInput(Uint8Array.of(9, 8, 7))]).toEqual([0, 3, 9, 8, 7]);
    expect([...datagram(3, Uint8Array.of(9))]).toEqual([3, 9]);
  });
});

describe('a decoder under watch', () => {
  it('that gives each picture at once holds none back, and neither does one with a queue', () => {
    const watch = new DecoderWatch();
    for (let frame = 0; frame < 100; frame += 1) {
      expect(watch.submitted(0)).toBe(false);
      watch.decoded();
    }
    for (let frame = 0; frame < 50; frame += 1) expect(watch.submitted(frame)).toBe(false);
    expect(watch.pending).toBe(50);
  });

  it('that reorders is found out', () => {
    const watch = new DecoderWatch();
    const found: boolean[] = [];
    for (let frame = 0; frame < 30; frame += 1) {
      found.push(watch.submitted(0));
      if (frame >= 4) watch.decoded();
    }
    expect(found.slice(0, 15)).not.toContain(true);
    expect(found.at(-1)).toBe(true);
    watch.reset();
    expect(watch.submitted(0)).toBe(false);
  });

  it('asks for keyframes at once and then no faster than they can come', () => {
    const wish = new KeyframeWish();
    expect(wish.needed(0)).toBe(true);
    expect(wish.needed(ASK_EVERY_MS - 1)).toBe(false);
    expect(wish.needed(ASK_EVERY_MS)).toBe(true);
  });

  it('asks for one when frames wait in vain', () => {
    const wish = new KeyframeWish();
    const asks = (from: number, to: number): number[] => {
      const asked = [];
      for (let now = from; now <= to; now += STUCK_LOOK_MS) if (wish.stuck(now)) asked.push(now);
      return asked;
    };
    wish.wait(0);
    expect(asks(STUCK_LOOK_MS, STUCK_MS - 1)).toEqual([]);
    // Others wait now.
    wish.wait(STUCK_MS);
    expect(asks(STUCK_MS, 2 * STUCK_MS - 1)).toEqual([]);
    // Nothing comes: it asks again after as long a wait.
    expect(asks(2 * STUCK_MS, 5 * STUCK_MS - 1)).toEqual([2, 3, 4].map((times) => times * STUCK_MS));
  });

  it('asks for none because it stood still itself: what frames wait for is read first', () => {
    const wish = new KeyframeWish();
    wish.wait(0);
    expect(wish.stuck(STUCK_LOOK_MS)).toBe(false);
    expect(wish.stuck(10_000)).toBe(false);
    // It does not come.
    expect(wish.stuck(10_000 + STUCK_LOOK_MS)).toBe(true);
  });
});

describe('pieces of frames', () => {
  const body = Uint8Array.from({ length: 90 }, (_, index) => index);
  /** One of a frame of track 1, whose number ends with `id`. */
  const piece = (flags: number, data: Uint8Array, { id = 6, length = 90, track = 1 } = {}): Uint8Array => {
    const head = (flags & 1) === 0 ? new Uint8Array(0) : header({ 15: id, 23: 4, 25: 0, 26: 0, 27: length });
    return Uint8Array.from([0x12, flags, track, ...head, ...data]);
  };
  const reader = (): { readonly read: PieceReader; readonly frames: ReceivedFrame[]; readonly lost: number[] } => {
    const [frames, lost]: [ReceivedFrame[], number[]] = [[], []];
    return { frames, lost, read: new PieceReader({ onFrame: (frame) => { frames.push(frame); }, onLost: ({ id }) => { lost.push(id); } }) };
  };

  it('come together, whether the length was told or not', () => {
    const { read, frames, lost } = reader();
    read.push(piece(1, body.subarray(0, 40)), at(1));
    read.push(piece(0, body.subarray(40, 41)), at(2));
    read.push(piece(2, body.subarray(41)), at(3));
    read.push(piece(3, body, { id: 7 }), at(4));
    read.push(piece(1, body.subarray(0, 10), { id: 8, length: 0 }), at(5));
    read.push(piece(2, body.subarray(10), { id: 8, length: 0 }), at(6));
    expect(frames.map(({ id, firstAt, lastAt }) => [id & 0xff, firstAt, lastAt])).toEqual([[6, 1, 3], [7, 4, 4], [8, 5, 6]]);
    for (const { data } of frames) expect(data).toEqual(body);
    expect(lost).toEqual([]);
  });

  it('of two tracks may mingle, and a frame that the next one of its track cuts off is lost', () => {
    const { read, frames, lost } = reader();
    read.push(piece(1, body.subarray(0, 40)), at(1));
    read.push(piece(3, body, { track: 2, id: 9 }), at(2));
    read.push(piece(3, body, { id: 7 }), at(3));
    expect(lost.map((id) => id & 0xff)).toEqual([6]);
    expect(frames.map(({ id }) => id & 0xff)).toEqual([9, 7]);
  });

  it.each([
    ['too short', [Uint8Array.of(0x12, 1)]],
    ['of nothing that began', [piece(2, body)]],
    ['with an end that comes too soon', [piece(3, body.subarray(1))]],
    ['with more than was told', [piece(1, body), piece(2, body)]],
    ['that goes on after its end', [piece(1, body)]],
    ['without a whole header', [piece(3, body).subarray(0, 20)]],
    ['of a track that there is not', [piece(3, body, { track: 4 })]],
  ])('%s are refused', (_, messages) => {
    const { read } = reader();
    expect(() => { for (const message of messages) read.push(message, at(1)); }).toThrow(FrameError);
  });
});
