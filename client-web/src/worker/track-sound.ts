// Sound that WebRTC receives, taken from the browser before it goes into its jitter buffer: what that keeps is more than the
// whole way of the sound by WebTransport. Nothing is handed on, so that the track itself is silent.
import type { TrackFigures, TrackTransform } from '../audio/messages.ts';
import { parseRedundant, REDUNDANT } from '../audio/redundant.ts';
import { SAMPLE_RATE } from '../audio/playout.ts';
import { rtp } from '../units.ts';
import { SoundDecoder } from './sound-decoder.ts';

declare const self: DedicatedWorkerGlobalScope;

const FIGURES_EVERY_MS = 1_000;

/** Not yet in TypeScript's library. */
interface Metadata extends RTCEncodedAudioFrameMetadata {
  readonly mimeType?: string;
}

async function play(frames: ReadableStream<RTCEncodedAudioFrame>, decoder: SoundDecoder): Promise<void> {
  const reader = frames.getReader();
  for (;;) {
    const { value: frame, done } = await reader.read();
    if (done) return;
    const { sequenceNumber: sequence, rtpTimestamp, mimeType }: Metadata = frame.getMetadata();
    if (sequence === undefined || rtpTimestamp === undefined) continue;
    const [data, timestamp] = [new Uint8Array(frame.data), rtp(rtpTimestamp)];
    const packets = mimeType?.toLowerCase() === REDUNDANT ? parseRedundant(data, sequence, timestamp) : [{ sequence, rtp: timestamp, channels: 2 as const, data }];
    decoder.take(packets ?? []);
  }
}

self.addEventListener('rtctransform', ({ transformer }) => {
  const { blocks } = transformer.options as TrackTransform;
  const decoder = new SoundDecoder(blocks, SAMPLE_RATE);
  const figures = setInterval(() => { self.postMessage(decoder.figures satisfies TrackFigures); }, FIGURES_EVERY_MS);
  const over = (): void => {
    clearInterval(figures);
    decoder.close();
  };
  play(transformer.readable as ReadableStream<RTCEncodedAudioFrame>, decoder).then(over, over);
});
