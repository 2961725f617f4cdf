// Packets of sound: in order, decoded by WebCodecs, to the audio thread. It knows no error correction
// of Opus's own; what is lost comes with the next packet, or is faded over where it is played.
import type { SoundPacket } from '../audio/datagram.ts';
import { decoderConfig, type Channels } from '../audio/layout.ts';
import type { SoundBlock } from '../audio/messages.ts';
import { PacketOrder, type SoundCounts } from '../audio/order.ts';
import { SAMPLE_RATE } from '../audio/playout.ts';
import { Unwrapped } from '../audio/unwrapped.ts';

/** Packets that may wait for the decoder: a quarter of a second or more; beyond them the newest are dropped. */
const MOST_QUEUED = 50;

/** A decoder of so many channels. */
interface Open {
  readonly channels: Channels;
  readonly decoder: AudioDecoder;
  /** Where the packets in it belong: it yields a block for each, and counts their times itself. */
  readonly inside: number[];
}

export class SoundDecoder {
  private readonly order = new PacketOrder();
  private readonly times = new Unwrapped();
  private open: Open | undefined;
  private failed = false;

  /** Of packets whose timestamps count at this rate. */
  constructor(private readonly blocks: MessagePort, private readonly hertz: 90_000 | 48_000) {
    this.failed = typeof globalThis.AudioDecoder !== 'function';
  }

  /** Takes what came together, the newest first. */
  take(packets: readonly SoundPacket[]): void {
    for (const { rtp, channels, data } of this.order.push(packets)) {
      const at = Math.round((this.times.of(rtp) * SAMPLE_RATE) / this.hertz);
      const open = this.ready(channels);
      if (open === undefined || open.decoder.decodeQueueSize >= MOST_QUEUED) continue;
      open.inside.push(at);
      open.decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp: Math.round((at * 1e6) / SAMPLE_RATE), data }));
    }
  }

  get figures(): SoundCounts {
    return this.order.figures;
  }

  close(): void {
    this.failed = true;
    if (this.open !== undefined && this.open.decoder.state !== 'closed') this.open.decoder.close();
    this.blocks.close();
  }

  private ready(channels: Channels): Open | undefined {
    if (this.failed) return undefined;
    const { open } = this;
    if (open?.channels === channels && open.decoder.state !== 'closed') return open;
    // What is still in the one before is heard.
    if (open !== undefined && open.decoder.state !== 'closed') open.decoder.flush().then(() => { open.decoder.close(); }, () => undefined);
    const inside: number[] = [];
    const decoder = new AudioDecoder({
      output: (data) => { this.decoded(data, inside.shift()); },
      // The picture goes on without sound.
      error: () => { this.failed = true; },
    });
    decoder.configure(decoderConfig(channels));
    this.open = { channels, decoder, inside };
    return this.open;
  }

  private decoded(data: AudioData, at: number | undefined): void {
    try {
      if (at === undefined || data.sampleRate !== SAMPLE_RATE) return;
      const channels = Array.from({ length: data.numberOfChannels }, (_, planeIndex) => {
        const samples = new Float32Array(data.numberOfFrames);
        data.copyTo(samples, { planeIndex, format: 'f32-planar' });
        return samples;
      });
      const [left] = channels;
      if (left !== undefined && channels.length === 1) channels.push(left.slice());
      const block: SoundBlock = { at, channels };
      this.blocks.postMessage(block, channels.map(({ buffer }) => buffer));
    } finally {
      data.close();
    }
  }
}
