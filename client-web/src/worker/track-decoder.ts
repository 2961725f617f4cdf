// Frames of a track that the browser decodes, as a track processor gives them.
import { clientNow, rtp } from '../units.ts';
import type { DecodedFrame, Decoder } from '../video/seam.ts';

/** In Chromium since 2024; not yet in TypeScript's library. */
interface WithMetadata {
  metadata?: () => { readonly rtpTimestamp?: number };
}

/** The processor before it holds one frame and replaces it with a newer one. */
export class TrackDecoder implements Decoder<VideoFrame> {
  private readonly reader: ReadableStreamDefaultReader<VideoFrame>;

  constructor(frames: ReadableStream<VideoFrame>) {
    this.reader = frames.getReader();
  }

  async run(take: (frame: DecodedFrame<VideoFrame>) => Promise<void>): Promise<void> {
    for (;;) {
      const { value: frame, done } = await this.reader.read();
      if (done) return;
      try {
        const decodedAt = clientNow();
        const known = (frame as VideoFrame & WithMetadata).metadata?.().rtpTimestamp;
        await take({
          image: frame,
          metadata: {
            rtp: known === undefined ? undefined : rtp(known),
            decodedAt,
            size: { width: frame.displayWidth, height: frame.displayHeight },
          },
        });
      } finally {
        frame.close();
      }
    }
  }

  close(): void {
    // A stream that failed cannot be cancelled, and need not be.
    this.reader.cancel().catch(() => undefined);
  }
}
