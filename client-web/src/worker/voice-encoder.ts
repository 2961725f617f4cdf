// The player's voice from the audio thread to the wire, coded by WebCodecs.
import { SAMPLE_RATE } from '../audio/playout.ts';
import { BLOCK, type VoiceWriter } from '../audio/voice.ts';

/** Blocks that may wait for the encoder: a fifth of a second; beyond them the newest are dropped. */
const MOST_QUEUED = 10;
const CONFIG: AudioEncoderConfig = { codec: 'opus', sampleRate: SAMPLE_RATE, numberOfChannels: 1, bitrate: 32_000 };
/** In the registration of Opus (WebCodecs), not yet in TypeScript's library; browsers pass over what they do not know. */
const OPUS = { opus: { frameDuration: 20_000, usedtx: true } };

export class VoiceEncoder {
  private readonly encoder: AudioEncoder;
  private samples = 0;

  /** Codes what comes on `blocks` until it is closed. */
  constructor(
    private readonly blocks: MessagePort,
    private readonly writer: VoiceWriter,
    private readonly send: (datagram: Uint8Array<ArrayBuffer>) => void,
    onFailed: (reason: string) => void,
  ) {
    this.encoder = new AudioEncoder({
      output: (chunk) => { this.coded(chunk); },
      error: ({ message }) => { onFailed(message); },
    });
    this.encoder.configure({ ...CONFIG, ...OPUS });
    blocks.onmessage = ({ data }: MessageEvent<Float32Array<ArrayBuffer>>) => { this.take(data); };
  }

  close(): void {
    this.blocks.onmessage = null;
    this.blocks.close();
    if (this.encoder.state !== 'closed') this.encoder.close();
  }

  private take(data: Float32Array<ArrayBuffer>): void {
    const timestamp = Math.round((this.samples * 1e6) / SAMPLE_RATE);
    this.samples += BLOCK;
    if (this.encoder.state !== 'configured' || this.encoder.encodeQueueSize >= MOST_QUEUED) return;
    const block = new AudioData({ format: 'f32', sampleRate: SAMPLE_RATE, numberOfFrames: BLOCK, numberOfChannels: 1, timestamp, data });
    try {
      this.encoder.encode(block);
    } finally {
      block.close();
    }
  }

  private coded(chunk: EncodedAudioChunk): void {
    const packet = new Uint8Array(chunk.byteLength);
    chunk.copyTo(packet);
    const datagram = this.writer.write(packet, chunk.timestamp);
    if (datagram !== undefined) this.send(datagram);
  }
}
