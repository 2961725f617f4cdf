import { describe, expect, it, vi } from 'vitest';
import { rtp, type Micros } from '../src/units.ts';
import type { Progress } from '../src/video/messages.ts';
import { Pipeline } from '../src/video/pipeline.ts';
import { RangedView } from '../src/video/ranged-view.ts';
import { ProgressBatch, type Decoded } from '../src/video/reports.ts';
import type { DecodedFrame, Decoder, Presenter } from '../src/video/seam.ts';
import type { StripReader } from '../src/video/strip.ts';
import { viewKind, type VideoView, type ViewEvents } from '../src/video/view.ts';
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
  pipeline: Pipeline<string>; shown: string[]; told: Progress[]; decoded: Decoded[]; stopped: ReturnType<typeof vi.fn>; presenter: { present: Presenter<string>['present'] };
} {
  const [shown, told, decoded]: [string[], Progress[], Decoded[]] = [[], [], []];
  const presenter: { present: Presenter<string>['present'] } = {
    present: ({ image, metadata }) => {
      shown.push(image);
      return (metadata.decodedAt + 5) as Micros;
    },
  };
  const stopped = vi.fn();
  const pipeline = new Pipeline(presenter, strips, new ProgressBatch((progress) => { told.push(progress); }, (frame) => { decoded.push(frame); }), stopped);
  return { pipeline, shown, told, decoded, stopped, presenter };
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
    const { pipeline, told, decoded, presenter } = setUp();
    presenter.present = () => {
      expect(decoded).toEqual([{ rtp: 10, decodedAt: 10 }]);
      return Promise.resolve(99 as Micros);
    };
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

describe('the view of a track', () => {
  /** A view that shows what a test tells it to. */
  class FakeView implements VideoView {
    readonly tracks: MediaStreamTrack[] = [];
    readonly replacedBy: unknown[] = [];
    readonly element = { replaceWith: (other: unknown) => { this.replacedBy.push(other); } } as unknown as HTMLElement;
    closed = false;
    private presented = 0;
    constructor(readonly kind: VideoView['kind'], private readonly events: ViewEvents) {}
    attachPictures(): void {
      throw new Error('a fake shows tracks only');
    }
    attach(track: MediaStreamTrack): void {
      this.tracks.push(track);
    }
    show(): void {
      this.presented += 1;
      const at = 1 as Micros;
      this.events.onProgress({ size: { width: 4, height: 2 }, rtp: undefined, decodedAt: at, presentedAt: at, presented: this.presented, reports: [] });
    }
    strips(): Promise<readonly []> {
      return Promise.resolve([]);
    }
    close(): void {
      this.closed = true;
    }
  }

  function begin(hdr: boolean): { view: RangedView; made: FakeView[]; counts: number[] } {
    const [made, counts]: [FakeView[], number[]] = [[], []];
    const make = (kind: VideoView['kind'], events: ViewEvents): FakeView => {
      const one = new FakeView(kind, events);
      made.push(one);
      return one;
    };
    const onProgress = ({ presented }: Progress): void => { counts.push(presented); };
    const view = new RangedView(hdr, (high) => viewKind(high, true), make, { onDecoded: () => undefined, onProgress, onStopped: () => undefined });
    return { view, made, counts };
  }
  const track = (id: string): MediaStreamTrack => ({ id }) as MediaStreamTrack;

  it('is a video element in high range, and where frames cannot be had one by one', () => {
    expect(viewKind(false, true)).toBe('track-processor');
    expect(viewKind(true, true)).toBe('video-element');
    expect(viewKind(false, false)).toBe('video-element');
    expect(viewKind(true, false)).toBe('video-element');
  });

  it('stays where the range is what was expected', () => {
    const { view, made } = begin(true);
    view.attach(track('a'));
    view.setRange(true);
    expect(made.map(({ kind }) => kind)).toEqual(['video-element']);
  });

  it('changes with the range, once the other has a picture', () => {
    const { view, made, counts } = begin(false);
    view.attach(track('a'));
    made[0]?.show();
    view.setRange(true);
    view.setRange(true);
    expect(made).toHaveLength(2);
    const [canvas, video] = made as [FakeView, FakeView];
    expect(video.tracks).toEqual([{ id: 'a' }]);
    canvas.show();
    expect([view.kind, view.element, canvas.closed]).toEqual(['track-processor', canvas.element, false]);
    video.show();
    expect([view.kind, view.element, canvas.closed]).toEqual(['video-element', video.element, true]);
    expect(canvas.replacedBy).toEqual([video.element]);
    // Told too late: its picture is not seen any more.
    canvas.show();
    video.show();
    expect(counts).toEqual([1, 2, 3, 4]);
  });

  it('follows the connection', () => {
    const { view, made } = begin(true);
    view.attach(track('a'));
    view.setRange(true);
    view.attach(track('b'));
    view.setRange(false);
    view.attach(track('c'));
    const [video, canvas] = made as [FakeView, FakeView];
    expect(video.tracks).toEqual([{ id: 'a' }, { id: 'b' }, { id: 'c' }]);
    expect(canvas.tracks).toEqual([{ id: 'b' }, { id: 'c' }]);
    canvas.show();
    expect(view.kind).toBe('track-processor');
    expect(video.closed).toBe(true);
  });

  it('that was not needed after all is closed, as are all at the end', () => {
    const { view, made } = begin(false);
    view.attach(track('a'));
    view.setRange(true);
    view.setRange(false);
    expect(made.map(({ closed }) => closed)).toEqual([false, true]);
    made[1]?.show();
    expect(view.kind).toBe('track-processor');
    view.setRange(true);
    view.close();
    expect(made.map(({ closed }) => closed)).toEqual([true, true, true]);
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
