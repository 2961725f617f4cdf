// Decoded frames with what is known of them: the seam between decoders and what draws. A WebRTC track
// and, later, a WebCodecs decoder both come through here.
import { clientNow, rtp, type Micros, type RtpTimestamp } from '../units.ts';

export interface DecodedFrame {
  /** Whoever takes it closes it. */
  readonly frame: VideoFrame;
  /** Names the frame to the server; undefined in browsers without `VideoFrame.metadata()`. */
  readonly rtp: RtpTimestamp | undefined;
  /** When the decoder handed it over. */
  readonly decodedAt: Micros;
}

/** In Chromium since 2024; not yet in TypeScript's library. */
interface WithMetadata {
  metadata?: () => { readonly rtpTimestamp?: number };
}

/**
 * Gives each frame of a track to `take`, one after the other, and ends with the track. The track
 * processor before it holds one frame and replaces it with a newer one, so a slow `take` skips frames
 * and never falls behind.
 */
export async function forEachFrame(
  reader: ReadableStreamDefaultReader<VideoFrame>,
  take: (decoded: DecodedFrame) => Promise<void>,
): Promise<void> {
  for (;;) {
    const { value: frame, done } = await reader.read();
    if (done) return;
    try {
      const decodedAt = clientNow();
      const known = (frame as VideoFrame & WithMetadata).metadata?.().rtpTimestamp;
      await take({ frame, rtp: known === undefined ? undefined : rtp(known), decodedAt });
    } finally {
      frame.close();
    }
  }
}
