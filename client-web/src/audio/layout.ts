// How many channels sound has, and how more than two of them lie in a packet of Opus. Blocks have them in the order of browsers
// and of the node: left, right, centre, low frequencies, rear left, rear right, side left, side right.
import { SAMPLE_RATE } from './playout.ts';

/** Stereo, 5.1 and 7.1, by the numbers that datagrams have for them. */
export const LAYOUTS = [2, 6, 8] as const;
export type Channels = (typeof LAYOUTS)[number];

/** The most for which so many are enough; stereo where none is. */
export function within(channels: number): Channels {
  return LAYOUTS.findLast((layout) => layout <= channels) ?? 2;
}

/** What people call it. */
export function nameOf(channels: number): string {
  return channels < 6 ? 'stereo' : `${channels - 1}.1`;
}

/** Streams of a packet, those of two channels among them, and for each channel its place (RFC 7845 §5.1.1.2; the node's encoder/src/opus/streams.rs). */
const STREAMS = {
  6: { count: 4, coupled: 2, mapping: [0, 4, 1, 2, 3, 5] },
  8: { count: 5, coupled: 3, mapping: [0, 6, 1, 2, 3, 4, 5, 7] },
} as const;

/** What a decoder is told. */
export function decoderConfig(channels: Channels): AudioDecoderConfig {
  const config = { codec: 'opus', sampleRate: SAMPLE_RATE, numberOfChannels: channels };
  return channels === 2 ? config : { ...config, description: head(channels) };
}

/** Opus' identification header (RFC 7845 §5.1), of which nothing is skipped: packets say when they are heard. */
function head(channels: 6 | 8): Uint8Array<ArrayBuffer> {
  const { count, coupled, mapping } = STREAMS[channels];
  const [version, family, none] = [1, 1, 0];
  const rate = Array.from({ length: 4 }, (_, at) => (SAMPLE_RATE >> (8 * at)) & 0xff);
  return Uint8Array.from([...new TextEncoder().encode('OpusHead'), version, channels, none, none, ...rate, none, none, family, count, coupled, ...mapping]);
}

/** Whether this browser decodes so many. */
export async function decodesChannels(channels: Channels): Promise<boolean> {
  if (typeof globalThis.AudioDecoder !== 'function') return false;
  try {
    return (await AudioDecoder.isConfigSupported(decoderConfig(channels))).supported === true;
  } catch {
    return false;
  }
}
