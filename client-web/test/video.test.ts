import { describe, expect, it, vi } from 'vitest';
import { rtp, type Micros } from '../src/units.ts';
import type { Progress } from '../src/video/messages.ts';
import { Pipeline } from '../src/video/pipeline.ts';
import { ProgressBatch } from '../src/video/reports.ts';
import type { DecodedFrame, Decoder, Presenter } from '../src/video/seam.ts';
import type { StripReader } from '../src/video/strip.ts';
import { TrackDecoder } from '../src/worker/track-decoder.ts';

/** A decoder that gives what a test tells it to. */
class ScriptedDecoder implements Decoder<string> {
  closed = false;
  private take: ((frame: DecodedFrame<string>) => Promise<void>) | undefined;
  private settle: { readonly end: () => void; readonly fail: (error: unknown) => void } | undefined;

  run(take: (frame: DecodedFrame<string>) => Promise<void>): Promise<void> {
    this.take = take;
    return new Promise((end, fail) => { this.settle = { end, fail }; });
  }
  async give(image: string, at: number): Promise<void> {
    await this.take?.({ image, metadata: { rtp: rtp(at), decodedAt: at as Micros, size: { width: 4, height: 2 } } })
      .catch((error: unknown) => { this.settle?.fail(error); });
  }
  async end(): Promise<void> {
    this.settle?.end();
    await Promise.resolve();
  }
  close(): void {
    this.closed = true;
  }
}

function setUp(strips?: StripReader<string>): {
  pipeline: Pipeline<string>; shown: string[]; told: Progress[]; stopped: ReturnType<typeof vi.fn>; presenter: { present: Presenter<string>['present'] };
} {
  const [shown, told]: [string[], Progress[]] = [[], []];
  const presenter: { present: Presenter<string>['present'] } = {
    present: ({ image, metadata }) => {
      shown.push(image);
      return (metadata.decodedAt + 5) as Micros;
    },
  };
  const stopped = vi.fn();
  const pipeline = new Pipeline(presenter, strips, new ProgressBatch((progress) => { told.push(progress); }), stopped);
  return { pipeline, shown, told, stopped, presenter };
}

describe('a decoder and a presenter', () => {
  it('show every picture, and tell when', async () => {
    const { pipeline, shown, told } = setUp();
    const decoder = new ScriptedDecoder();
    pipeline.play(decoder);
    await decoder.give('one', 10);
    expect(shown).toEqual(['one']);
    expect(told).toEqual([{
      size: { width: 4, height: 2 }, rtp: 10, decodedAt: 10, presentedAt: 15, presented: 1, reports: [{ rtp: 10, decoded_us: 10, presented_us: 15 }],
    }]);
    pipeline.close();
    expect(decoder.closed).toBe(true);
  });

  it('tell what a presenter that waits for its turn says', async () => {
    const { pipeline, told, presenter } = setUp();
    presenter.present = () => Promise.resolve(99 as Micros);
    const decoder = new ScriptedDecoder();
    pipeline.play(decoder);
    await decoder.give('one', 10);
    expect(told).toMatchObject([{ presentedAt: 99 }]);
  });

  it('change decoders: the first picture of the new one is told at once, late ones of the old one are not shown', async () => {
    const { pipeline, shown, told, stopped } = setUp();
    const [first, second] = [new ScriptedDecoder(), new ScriptedDecoder()];
    pipeline.play(first);
    await first.give('one', 1);
    pipeline.play(second);
    expect(first.closed).toBe(true);
    await second.give('two', 2);
    await first.give('late', 3);
    await first.end();
    expect(shown).toEqual(['one', 'two']);
    expect(told).toHaveLength(2);
    expect(stopped).not.toHaveBeenCalled();
  });

  it('say that a track ended, once', async () => {
    const { pipeline, stopped } = setUp();
    const decoder = new ScriptedDecoder();
    pipeline.play(decoder);
    await decoder.end();
    expect(stopped.mock.calls).toEqual([[undefined]]);
    pipeline.close();
  });

  it('say why a picture could not be shown', async () => {
    const { pipeline, stopped, presenter } = setUp();
    presenter.present = () => { throw new Error('the context is lost'); };
    const decoder = new ScriptedDecoder();
    pipeline.play(decoder);
    await decoder.give('one', 1);
    await Promise.resolve();
    expect(stopped.mock.calls).toEqual([['the context is lost']]);
    expect(decoder.closed).toBe(true);
  });

  it('keep the image until its strip was read', async () => {
    let read: () => void = () => undefined;
    const { pipeline, shown } = setUp({ read: () => new Promise((resolve) => { read = resolve; }), take: () => [] });
    const decoder = new ScriptedDecoder();
    pipeline.play(decoder);
    let done = false;
    const given = decoder.give('one', 1).then(() => { done = true; });
    await Promise.resolve();
    await Promise.resolve();
    expect(shown).toEqual(['one']);
    expect(done).toBe(false);
    read();
    await given;
  });
});

describe('frames of a track', () => {
  class FakeFrame {
    closed = false;
    readonly displayWidth = 4;
    readonly displayHeight = 2;
    constructor(private readonly rtpTimestamp: number) {}
    metadata(): { rtpTimestamp: number } {
      return { rtpTimestamp: this.rtpTimestamp };
    }
    close(): void {
      this.closed = true;
    }
  }
  const streamOf = (frames: readonly FakeFrame[], failure?: Error): ReadableStream<VideoFrame> =>
    new ReadableStream<FakeFrame>({
      start(controller) {
        for (const frame of frames) controller.enqueue(frame);
        if (failure === undefined) controller.close();
      },
      pull(controller) {
        if (failure !== undefined) controller.error(failure);
      },
    }) as unknown as ReadableStream<VideoFrame>;

  it('come with what is known of them, and are closed after use', async () => {
    const frames = [new FakeFrame(7), new FakeFrame(8)];
    const seen: unknown[] = [];
    await new TrackDecoder(streamOf(frames)).run(({ image, metadata }) => {
      seen.push([(image as unknown as FakeFrame).closed, metadata.rtp, metadata.size]);
      return Promise.resolve();
    });
    expect(seen).toEqual([[false, 7, { width: 4, height: 2 }], [false, 8, { width: 4, height: 2 }]]);
    expect(frames.every(({ closed }) => closed)).toBe(true);
  });

  it('are closed when showing them fails, which ends the run', async () => {
    const frames = [new FakeFrame(7)];
    const run = new TrackDecoder(streamOf(frames)).run(() => Promise.reject(new Error('no')));
    await expect(run).rejects.toThrow('no');
    expect(frames[0]?.closed).toBe(true);
  });

  it('can be given up when their stream has failed', async () => {
    const decoder = new TrackDecoder(streamOf([], new Error('decoder gone')));
    await expect(decoder.run(() => Promise.resolve())).rejects.toThrow('decoder gone');
    // A rejection that nobody takes would fail the run of the tests.
    decoder.close();
    await new Promise((resolve) => setTimeout(resolve));
  });
});
