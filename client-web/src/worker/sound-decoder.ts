// Packets of sound: in order, decoded by WebCodecs, to the audio thread. It knows no error correction
// of Opus's own; what is lost comes with the next packet, or is faded over where it is played.
import type { SoundPacket } from '../audio/datagram.ts';
import type { SoundBlock } from '../audio/messages.ts';
import { PacketOrder, type SoundCounts } from '../audio/order.ts';
import { SAMPLE_RATE } from '../audio/playout.ts';
import { Unwrapped } from '../audio/unwrapped.ts';

/** Packets that may wait for the decoder: a quarter of a second or more; beyond them the newest are dropped. */
const MOST_QUEUED = 50;
const CONFIG: AudioDecoderConfig = { codec: 'opus', sampleRate: SAMPLE_RATE, numberOfChannels: 2 };

export class SoundDecoder {
  private readonly order = new PacketOrder();
  private readonly times = new Unwrapped();
  private decoder: AudioDecoder | undefined;
  /** Where the packets in the decoder belong: it yields a block for each, and counts their times itself. */
  private readonly inside: number[] = [];
  private failed = false;

  /** Of packets whose timestamps count at this rate. */
  constructor(private readonly blocks: MessagePort, private readonly hertz: 90_000 | 48_000) {
    this.failed = typeof globalThis.AudioDecoder !== 'function';
  }

  /** Takes what came together, the newest first. */
  take(packets: readonly SoundPacket[]): void {
    for (const { rtp, data } of this.order.push(packets)) {
      const at = Math.round((this.times.of(rtp) * SAMPLE_RATE) / this.hertz);
      const decoder = this.ready();
      if (decoder === undefined || decoder.decodeQueueSize >= MOST_QUEUED) continue;
      this.inside.push(at);
      decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp: Math.round((at * 1e6) / SAMPLE_RATE), data }));
    }
  }

  get figures(): SoundCounts {
    return this.order.figures;
  }

  close(): void {
    this.failed = true;
    if (this.decoder !== undefined && this.decoder.state !== 'closed') this.decoder.close();
    this.blocks.close();
  }

  private ready(): AudioDecoder | undefined {
    if (this.failed) return undefined;
    if (this.decoder !== undefined && this.decoder.state !== 'closed') return this.decoder;
    this.inside.length = 0;
    const decoder = new AudioDecoder({
      output: (data) => { this.decoded(data); },
      // The picture goes on without sound.
      error: () => { this.failed = true; },
    });
    decoder.configure(CONFIG);
    this.decoder = decoder;
    return decoder;
  }

  private decoded(data: AudioData): void {
    try {
      const at = this.inside.shift();
      if (at === undefined || data.sampleRate !== SAMPLE_RATE) return;
      const plane = (planeIndex: number): Float32Array<ArrayBuffer> => {
        const samples = new Float32Array(data.numberOfFrames);
        data.copyTo(samples, { planeIndex, format: 'f32-planar' });
        return samples;
      };
      const left = plane(0);
      const right = data.numberOfChannels > 1 ? plane(1) : left.slice();
      const block: SoundBlock = { at, left, right };
      this.blocks.postMessage(block, [left.buffer, right.buffer]);
    } finally {
      data.close();
    }
  }
}
