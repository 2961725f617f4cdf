import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ReceivedFrame } from '../src/quic/assembler.ts';
import type { Picture } from '../src/quic/messages.ts';
import { MOST_QUEUED, STUCK_MS } from '../src/quic/watch.ts';
import { rtp, type Micros } from '../src/units.ts';
import type { DecodedFrame } from '../src/video/seam.ts';
import type { FrameAck } from '../src/wire/acks.ts';
import { ChunkDecoder } from '../src/worker/chunk-decoder.ts';
import { PictureDecoder } from '../src/worker/picture-decoder.ts';

/** A picture that says whether it was freed. */
class FakeFrame {
  closed = false;
  readonly displayWidth = 4;
  readonly displayHeight = 2;
  constructor(readonly timestamp: number) {}
  close(): void {
    this.closed = true;
  }
}

/** A decoder that gives a picture when a test says so. */
class FakeDecoder {
  static made: FakeDecoder[] = [];
  /** What `configure` and `decode` throw from now on. */
  static refuses = false;
  state: CodecState = 'unconfigured';
  decodeQueueSize = 0;
  readonly configured: VideoDecoderConfig[] = [];
  readonly fed: { readonly type: string; readonly timestamp: number }[] = [];
  constructor(private readonly init: VideoDecoderInit) {
    FakeDecoder.made.push(this);
  }
  configure(config: VideoDecoderConfig): void {
    if (FakeDecoder.refuses) throw new DOMException('no such codec', 'NotSupportedError');
    this.state = 'configured';
    this.configured.push(config);
  }
  decode(chunk: { readonly type: string; readonly timestamp: number }): void {
    this.fed.push(chunk);
  }
  close(): void {
    this.state = 'closed';
  }
  give(id: number): FakeFrame {
    const frame = new FakeFrame(id);
    this.init.output(frame as unknown as VideoFrame);
    return frame;
  }
  fail(): void {
    this.state = 'closed';
    this.init.error(new DOMException('broken', 'EncodingError'));
  }
}

const KEY = Uint8Array.from([0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 0xd9]);
const frame = (id: number, key = false, refersTo = id - 1): ReceivedFrame => ({
  key, recovery: false, track: 0, codec: 'H264', rtp: rtp(id * 1_500), id, refersTo: key ? undefined : refersTo, bytes: KEY.length,
  color: { primaries: 1, transfer: 1, matrix: 1, fullRange: false, tenBits: false },
  data: KEY, firstAt: (id * 10) as Micros, lastAt: (id * 10 + 3) as Micros,
});

interface Bench {
  readonly decoder: ChunkDecoder;
  readonly acks: FrameAck[];
  /** State and number of each frame that was told of. */
  readonly told: () => readonly string[];
  readonly asked: () => number;
  readonly failures: string[];
  readonly pictures: Picture[];
  readonly newest: () => FakeDecoder;
}

function bench(): Bench {
  const [acks, failures, pictures]: [FrameAck[], string[], Picture[]] = [[], [], []];
  let asked = 0;
  const decoder = new ChunkDecoder({
    onAck: (ack) => { acks.push(ack); },
    onPicture: (picture) => { pictures.push(picture); },
    onKeyframeNeeded: () => { asked += 1; },
    onFailed: (reason) => { failures.push(reason); },
  });
  const newest = (): FakeDecoder => {
    const last = FakeDecoder.made.at(-1);
    if (last === undefined) throw new Error('no decoder was made');
    return last;
  };
  return { decoder, acks, told: () => acks.map(({ rtp: stamp, state }) => `${state} ${stamp / 1_500}`), asked: () => asked, failures, pictures, newest };
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeDecoder.made = [];
  FakeDecoder.refuses = false;
  vi.stubGlobal('VideoDecoder', FakeDecoder);
  vi.stubGlobal('EncodedVideoChunk', class {
    readonly type: string;
    readonly timestamp: number;
    constructor({ type, timestamp }: EncodedVideoChunkInit) {
      [this.type, this.timestamp] = [type, timestamp];
    }
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('frames that come whole', () => {
  it('are told of when they come and when they are decoded, with the times of their bytes', () => {
    const { decoder, acks, pictures, newest } = bench();
    decoder.received(frame(3, true));
    expect(newest().configured).toEqual([{
      codec: 'avc1.42c01e', optimizeForLatency: true, hardwareAcceleration: 'no-preference',
      colorSpace: { primaries: 'bt709', transfer: 'bt709', matrix: 'bt709', fullRange: false },
    }]);
    const image = newest().give(3);
    expect(pictures).toEqual([{ image, rtp: 4_500, receivedAt: 33, decodedAt: expect.any(Number) as number, size: { width: 4, height: 2 } }]);
    expect(acks).toEqual(['received', 'decoded'].map((state) => ({ rtp: 4_500, state, firstAt: 30, lastAt: 33 })));
    expect(decoder.figures()).toMatchObject({ received: 1, decoded: 1, dropped: 0 });
  });

  it('are decoded in their order, with one decoder as long as the codec stays', () => {
    const { decoder, newest } = bench();
    for (const of of [frame(0, true), frame(2), frame(1), frame(3, true)]) decoder.received(of);
    expect(FakeDecoder.made).toHaveLength(1);
    expect(newest().configured).toHaveLength(1);
    expect(newest().fed).toEqual([
      { type: 'key', timestamp: 0 }, { type: 'delta', timestamp: 1 }, { type: 'delta', timestamp: 2 }, { type: 'key', timestamp: 3 },
    ]);
  });

  it('that were given up are told as dropped, and so is what refers to them', () => {
    const { decoder, told } = bench();
    decoder.received(frame(0, true));
    decoder.received(frame(2));
    decoder.lost(frame(1), 5 as Micros);
    expect(told()).toEqual(['received 0', 'received 2', 'dropped 1', 'dropped 2']);
  });

  it('and refer to nothing that is here cost a keyframe after a while, not at once', () => {
    const { decoder, asked } = bench();
    decoder.received(frame(5));
    vi.advanceTimersByTime(STUCK_MS - 1);
    expect(asked()).toBe(0);
    vi.advanceTimersByTime(1);
    expect(asked()).toBe(1);
    decoder.received(frame(6, true));
    vi.advanceTimersByTime(10 * STUCK_MS);
    expect(asked()).toBe(1);
  });

  it('whose recovery the page cannot follow cost one too', () => {
    const { decoder, asked } = bench();
    decoder.received(frame(0, true));
    decoder.received(frame(2));
    decoder.lost(frame(1), 5 as Micros);
    decoder.received(frame(4, false, 2));
    vi.advanceTimersByTime(STUCK_MS);
    expect(asked()).toBe(1);
  });
});

describe('a decoder that fails', () => {
  it('is replaced, asks for a keyframe at once, and drops what depends on what was lost', () => {
    const { decoder, told, asked, newest } = bench();
    for (const of of [frame(0, true), frame(1)]) decoder.received(of);
    newest().give(0);
    newest().fail();
    expect(asked()).toBe(1);
    decoder.received(frame(2));
    decoder.received(frame(3, true));
    expect(FakeDecoder.made).toHaveLength(2);
    newest().give(3);
    expect(told().slice(2)).toEqual(['decoded 0', 'dropped 1', 'received 2', 'dropped 2', 'received 3', 'decoded 3']);
  });

  it('again and again is tried in software, and then given up', () => {
    const { decoder, failures, newest } = bench();
    for (let id = 0; id < 4; id += 1) {
      decoder.received(frame(id, true));
      newest().fail();
    }
    expect(FakeDecoder.made.map(({ configured }) => configured[0]?.hardwareAcceleration)).toEqual(['no-preference', 'no-preference', 'prefer-software', 'prefer-software']);
    expect(failures).toEqual(['broken']);
    decoder.received(frame(9, true));
    expect(FakeDecoder.made).toHaveLength(4);
  });

  it('now and then is not given up', () => {
    const { decoder, failures, newest } = bench();
    for (let id = 0; id < 20; id += 2) {
      decoder.received(frame(id, true));
      newest().give(id).close();
      newest().fail();
    }
    expect(failures).toEqual([]);
  });

  it('to take the codec at all is given up', () => {
    const { decoder, failures } = bench();
    FakeDecoder.refuses = true;
    for (let id = 0; id < 4; id += 1) decoder.received(frame(id, true));
    expect(failures).toEqual(['no such codec']);
  });
});

describe('a decoder that falls behind', () => {
  it('begins anew with a keyframe', () => {
    const { decoder, asked, newest, told } = bench();
    decoder.received(frame(0, true));
    newest().decodeQueueSize = MOST_QUEUED + 1;
    decoder.received(frame(1));
    expect(asked()).toBe(1);
    expect(told().slice(-2)).toEqual(['dropped 0', 'dropped 1']);
    decoder.received(frame(2, true));
    expect(FakeDecoder.made).toHaveLength(2);
  });

  it('because it holds pictures back is replaced by software', () => {
    const { decoder, newest } = bench();
    decoder.received(frame(0, true));
    for (let id = 1; id < 40; id += 1) {
      decoder.received(frame(id));
      if (id >= 4) FakeDecoder.made[0]?.give(id - 4).close();
    }
    decoder.received(frame(40, true));
    expect(newest().configured[0]?.hardwareAcceleration).toBe('prefer-software');
  });
});

describe('pictures from another worker', () => {
  /** A port whose other end is the test. */
  function port(): { readonly port: MessagePort; readonly give: (id: number) => FakeFrame; readonly closed: () => boolean } {
    const state = { onmessage: null as MessagePort['onmessage'], closed: false, close: () => { state.closed = true; } };
    const give = (id: number): FakeFrame => {
      const image = new FakeFrame(id);
      const data = { image, rtp: rtp(id), receivedAt: id as Micros, decodedAt: (id + 1) as Micros, size: { width: 4, height: 2 } };
      state.onmessage?.call(state as unknown as MessagePort, { data } as MessageEvent);
      return image;
    };
    return { port: state as unknown as MessagePort, give, closed: () => state.closed };
  }

  it('are shown newest first: who is slow skips pictures, and every picture is freed', async () => {
    const { port: pictures, give, closed } = port();
    const decoder = new PictureDecoder(pictures);
    const shown: DecodedFrame<VideoFrame>[] = [];
    let done: () => void = () => undefined;
    const run = decoder.run(async (of) => {
      shown.push(of);
      await new Promise<void>((resolve) => { done = resolve; });
    });
    const images = [give(0)];
    await vi.advanceTimersByTimeAsync(0);
    for (let id = 1; id < 4; id += 1) images.push(give(id));
    expect(images.map((image) => image.closed)).toEqual([false, true, true, false]);
    done();
    await vi.advanceTimersByTimeAsync(0);
    done();
    await vi.advanceTimersByTimeAsync(0);
    expect(shown.map(({ metadata }) => metadata)).toEqual([0, 3].map((id) => ({ rtp: id, receivedAt: id, decodedAt: id + 1, size: { width: 4, height: 2 } })));
    images.push(give(4));
    decoder.close();
    images.push(give(5));
    done();
    await run;
    expect([images.map((image) => image.closed), closed()]).toEqual([[true, true, true, true, true, true], true]);
  });

  it('are freed when showing them fails, which ends the run', async () => {
    const { port: pictures, give } = port();
    const run = new PictureDecoder(pictures).run(() => Promise.reject(new Error('no canvas')));
    const image = give(0);
    await expect(run).rejects.toThrow('no canvas');
    expect(image.closed).toBe(true);
  });
});
