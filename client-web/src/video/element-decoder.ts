// A track decoded by a video element, which also shows it.
import { rtp, toMicros } from '../units.ts';
import type { DecodedFrame, Decoder, FrameMetadata } from './seam.ts';

type Take = (frame: DecodedFrame<HTMLVideoElement>) => Promise<void>;

export class ElementDecoder implements Decoder<HTMLVideoElement> {
  private readonly abort = new AbortController();
  private callback: number | undefined;

  constructor(private readonly video: HTMLVideoElement, private readonly track: MediaStreamTrack) {}

  run(take: Take): Promise<void> {
    return new Promise((resolve, reject) => {
      const { signal } = this.abort;
      this.track.addEventListener('ended', () => { resolve(); }, { signal });
      signal.addEventListener('abort', () => { resolve(); });
      const give = (metadata: FrameMetadata): void => {
        take({ image: this.video, metadata }).catch(reject);
      };
      this.watch(give);
      this.video.srcObject = new MediaStream([this.track]);
      this.video.play().catch((error: unknown) => {
        // A later track aborts the wait for this one; anything else is final for this track.
        if (!(error instanceof DOMException && error.name === 'AbortError')) reject(error instanceof Error ? error : new Error(String(error)));
      });
    });
  }

  /** The element stays with the track; the next decoder gives it another. */
  close(): void {
    if (this.callback !== undefined) this.video.cancelVideoFrameCallback(this.callback);
    this.callback = undefined;
    this.abort.abort();
  }

  private watch(give: (metadata: FrameMetadata) => void): void {
    const request = (this.video as Partial<HTMLVideoElement>).requestVideoFrameCallback;
    if (request === undefined) {
      // Without it there are no times to report; that a picture is there can still be told.
      this.video.addEventListener('playing', () => {
        give({ rtp: undefined, decodedAt: toMicros(performance.now()), size: this.size });
      }, { signal: this.abort.signal });
      return;
    }
    this.callback = request.call(this.video, (_, seen) => {
      this.watch(give);
      give({
        rtp: seen.rtpTimestamp === undefined ? undefined : rtp(seen.rtpTimestamp),
        // The moment that the frame was ready for the compositor is the closest known to its decoding.
        decodedAt: toMicros(seen.presentationTime),
        size: this.size,
        displayedAt: toMicros(Math.max(seen.expectedDisplayTime, seen.presentationTime)),
      });
    });
  }

  private get size(): FrameMetadata['size'] {
    return { width: this.video.videoWidth, height: this.video.videoHeight };
  }
}
