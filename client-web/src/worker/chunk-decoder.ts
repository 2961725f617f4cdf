// Frames that come whole, decoded by WebCodecs. It gives the decoder what the gate lets through, and says of
// each frame at once what became of it.
//
// Bounds: the gate's frames that wait, MOST_QUEUED frames in front of the decoder. Beyond them the decoder
// begins anew with a keyframe.
import type { ReceivedFrame } from '../quic/assembler.ts';
import { codecString } from '../quic/codec.ts';
import { colorSpace } from '../quic/color.ts';
import { ReferenceGate, type Verdict } from '../quic/gate.ts';
import type { FrameHeader } from '../quic/header.ts';
import type { LinkFigures, Picture } from '../quic/messages.ts';
import { DecoderWatch, KeyframeWish, MOST_QUEUED, STUCK_LOOK_MS } from '../quic/watch.ts';
import { clientNow, type Micros } from '../units.ts';
import { messageOf } from '../video/pipeline.ts';
import type { AckState, FrameAck } from '../wire/acks.ts';

export interface ChunkEvents {
  readonly onAck: (ack: FrameAck, queued: number) => void;
  /** Who gets a picture frees it. */
  readonly onPicture: (picture: Picture) => void;
  readonly onKeyframeNeeded: () => void;
  /** Nothing will be decoded any more. */
  readonly onFailed: (reason: string) => void;
}

/** Decoders in a row that failed without a picture until it counts as impossible, and before that, as a case for software. */
const [SOFTWARE_AFTER, GIVE_UP_AFTER] = [2, 4];

export class ChunkDecoder {
  private readonly gate = new ReferenceGate<ReceivedFrame>();
  private readonly watch = new DecoderWatch();
  private readonly wish = new KeyframeWish();
  private decoder: VideoDecoder | undefined;
  private codec = '';
  private acceleration: HardwareAcceleration = 'no-preference';
  private failures = 0;
  /** In the decoder, by number. */
  private readonly inside = new Map<number, ReceivedFrame>();
  private closed = false;
  private stuck: ReturnType<typeof setInterval> | undefined;
  /** Frames came since the last one that could be decoded. */
  private starves = false;
  private readonly counts = { received: 0, decoded: 0, dropped: 0 };
  private spent = { micros: 0, frames: 0 };

  constructor(private readonly events: ChunkEvents) {}

  /** A whole frame came. */
  received(frame: ReceivedFrame): void {
    if (this.closed) return;
    this.counts.received += 1;
    this.tell(frame, 'received');
    this.apply(this.gate.push(frame));
  }

  /** A frame will not come whole. */
  lost(header: FrameHeader, firstAt: Micros): void {
    if (this.closed) return;
    this.dropped({ ...header, firstAt, lastAt: clientNow() });
    this.apply(this.gate.lose(header.id));
  }

  /** How frames fared; the average is of those since the last call. */
  figures(): LinkFigures {
    const { micros, frames } = this.spent;
    this.spent = { micros: 0, frames: 0 };
    return { ...this.counts, decodeMs: frames === 0 ? undefined : micros / frames / 1000 };
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.stuck);
    if (this.decoder !== undefined && this.decoder.state !== 'closed') this.decoder.close();
    this.decoder = undefined;
    this.inside.clear();
  }

  private apply({ decode, drop }: Verdict<ReceivedFrame>): void {
    for (const frame of drop) this.dropped(frame);
    for (const frame of decode) this.decode(frame);
    if (decode.length > 0) this.starves = this.gate.awaitsKey;
    else if (drop.length > 0 || this.gate.held > 0) this.starves = true;
    this.watchWait();
  }

  /** Asks for a keyframe where frames come for some time and none can be decoded. */
  private watchWait(): void {
    if (this.closed || !this.starves) {
      clearInterval(this.stuck);
      this.stuck = undefined;
      return;
    }
    if (this.stuck !== undefined) return;
    this.wish.wait(performance.now());
    this.stuck = setInterval(() => {
      if (this.wish.stuck(performance.now())) this.events.onKeyframeNeeded();
    }, STUCK_LOOK_MS);
  }

  private decode(frame: ReceivedFrame): void {
    if (this.closed) return;
    const decoder = frame.key ? this.ready(frame) : this.decoder;
    // A frame between a failure and the keyframe after it.
    if (decoder === undefined) {
      this.dropped(frame);
      return;
    }
    if (decoder.decodeQueueSize > MOST_QUEUED) {
      this.restart(this.acceleration);
      this.dropped(frame);
      return;
    }
    const holdsBack = this.watch.submitted(decoder.decodeQueueSize);
    this.inside.set(frame.id, frame);
    try {
      decoder.decode(new EncodedVideoChunk({ type: frame.key ? 'key' : 'delta', timestamp: frame.id, data: frame.data }));
    } catch (error) {
      this.failed(messageOf(error));
      return;
    }
    // Some hardware decoders reorder what has no order to restore; software gives each picture at once.
    if (holdsBack && this.acceleration !== 'prefer-software') this.restart('prefer-software');
  }

  /** The decoder for what begins with this keyframe. */
  private ready(frame: ReceivedFrame): VideoDecoder | undefined {
    const codec = codecString(frame.codec, frame.data);
    if (codec === undefined) {
      this.failed(`a keyframe of ${frame.codec} without headers`);
      return undefined;
    }
    if (this.decoder?.state === 'configured' && codec === this.codec) return this.decoder;
    const color = colorSpace(frame.color);
    try {
      this.decoder ??= this.open();
      this.decoder.configure({
        codec,
        optimizeForLatency: true,
        hardwareAcceleration: this.acceleration,
        ...(color === undefined ? {} : { colorSpace: color }),
      });
      this.codec = codec;
      return this.decoder;
    } catch (error) {
      this.failed(messageOf(error));
      return undefined;
    }
  }

  private open(): VideoDecoder {
    const decoder: VideoDecoder = new VideoDecoder({
      output: (image) => {
        if (decoder === this.decoder) this.output(image);
        else image.close();
      },
      error: (error) => {
        if (decoder === this.decoder) this.failed(error.message);
      },
    });
    return decoder;
  }

  private output(image: VideoFrame): void {
    const frame = this.inside.get(image.timestamp);
    if (frame === undefined) {
      image.close();
      return;
    }
    this.inside.delete(frame.id);
    const decodedAt = clientNow();
    this.watch.decoded();
    this.failures = 0;
    this.counts.decoded += 1;
    this.spent = { micros: this.spent.micros + decodedAt - frame.lastAt, frames: this.spent.frames + 1 };
    this.tell(frame, 'decoded');
    const size = { width: image.displayWidth, height: image.displayHeight };
    this.events.onPicture({ image, rtp: frame.rtp, receivedAt: frame.lastAt, decodedAt, size });
  }

  /** The decoder refused a frame or broke. */
  private failed(reason: string): void {
    this.failures += 1;
    if (this.failures >= GIVE_UP_AFTER) {
      this.close();
      this.events.onFailed(reason);
      return;
    }
    this.restart(this.failures >= SOFTWARE_AFTER ? 'prefer-software' : this.acceleration);
  }

  /** Begins anew with the next keyframe. */
  private restart(acceleration: HardwareAcceleration): void {
    this.acceleration = acceleration;
    if (this.decoder !== undefined && this.decoder.state !== 'closed') this.decoder.close();
    this.decoder = undefined;
    this.watch.reset();
    const inside = [...this.inside.values()];
    this.inside.clear();
    for (const frame of inside) this.dropped(frame);
    for (const frame of this.gate.restart().drop) this.dropped(frame);
    this.starves = true;
    if (this.wish.needed(performance.now())) this.events.onKeyframeNeeded();
    this.watchWait();
  }

  private dropped(frame: FrameHeader & { readonly firstAt: Micros; readonly lastAt: Micros }): void {
    this.counts.dropped += 1;
    this.tell(frame, 'dropped');
  }

  private tell({ rtp, firstAt, lastAt }: { readonly rtp: FrameAck['rtp']; readonly firstAt: Micros; readonly lastAt: Micros }, state: AckState): void {
    this.events.onAck({ rtp, state, firstAt, lastAt }, this.decoder?.state === 'configured' ? this.decoder.decodeQueueSize : 0);
  }
}
