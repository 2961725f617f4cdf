// Frames by a video element, for browsers without a track processor. Adds a compositor's wait of about
// 10 ms; times come from requestVideoFrameCallback.
import { rtp, toMicros, type Micros } from '../units.ts';
import type { WhichStrips } from './messages.ts';
import type { Presenter, PresenterEvents } from './presenter.ts';
import { ProgressBatch } from './reports.ts';
import { CELL, CELLS, readStrip, StripLog, type StripSample } from './strip.ts';

export class VideoElementPresenter implements Presenter {
  readonly kind = 'video-element';
  readonly element: HTMLVideoElement;
  private readonly batch: ProgressBatch;
  private readonly kept = new StripLog();
  private readonly readback: CanvasRenderingContext2D | undefined;
  private track: MediaStreamTrack | undefined;
  private callback: number | undefined;
  private closed = false;

  constructor(strips: boolean, private readonly events: PresenterEvents) {
    this.batch = new ProgressBatch(events.onProgress);
    const video = document.createElement('video');
    video.muted = true;
    video.playsInline = true;
    video.autoplay = true;
    video.disablePictureInPicture = true;
    this.element = video;
    if (strips) {
      const canvas = document.createElement('canvas');
      canvas.width = CELLS;
      canvas.height = 1;
      this.readback = canvas.getContext('2d', { alpha: false, willReadFrequently: true }) ?? undefined;
    }
    this.watch();
  }

  attach(track: MediaStreamTrack): void {
    this.track = track;
    this.batch.restart();
    track.addEventListener('ended', () => {
      if (this.track === track) this.events.onStopped(undefined);
    });
    this.element.srcObject = new MediaStream([track]);
    this.element.play().catch((error: unknown) => {
      // A later track aborts the wait for this one; anything else is final for this track.
      if (this.track === track && !this.closed && !(error instanceof DOMException && error.name === 'AbortError')) {
        this.events.onStopped(error instanceof Error ? error.message : String(error));
      }
    });
  }

  strips(which: WhichStrips): Promise<readonly StripSample[]> {
    return Promise.resolve(this.kept.take(which));
  }

  close(): void {
    this.closed = true;
    this.batch.close();
    this.track = undefined;
    if (this.callback !== undefined) this.element.cancelVideoFrameCallback(this.callback);
    this.element.srcObject = null;
    this.element.remove();
  }

  private watch(): void {
    const request = (this.element as Partial<HTMLVideoElement>).requestVideoFrameCallback;
    if (request === undefined) {
      // Without it there are no times to report; that a picture is there can still be told.
      this.element.addEventListener('playing', () => {
        const at = toMicros(performance.now());
        this.tell(at, at, undefined);
      });
      return;
    }
    this.callback = request.call(this.element, (_, metadata) => {
      this.take(metadata);
      this.watch();
    });
  }

  private take(metadata: VideoFrameCallbackMetadata): void {
    // The moment that the frame was ready for the compositor is the closest known to its decoding.
    const decodedAt = toMicros(metadata.presentationTime);
    const presentedAt = toMicros(Math.max(metadata.expectedDisplayTime, metadata.presentationTime));
    this.readStrip(decodedAt);
    this.tell(decodedAt, presentedAt, metadata.rtpTimestamp);
  }

  private tell(decodedAt: Micros, presentedAt: Micros, timestamp: number | undefined): void {
    this.batch.note({
      size: { width: this.element.videoWidth, height: this.element.videoHeight },
      rtp: timestamp === undefined ? undefined : rtp(timestamp),
      decodedAt,
      presentedAt,
    });
  }

  private readStrip(decodedAtUs: Micros): void {
    const context = this.readback;
    if (context === undefined || this.element.videoWidth < CELL * CELLS) return;
    context.imageSmoothingEnabled = false;
    context.drawImage(this.element, 0, CELL / 2, CELL * CELLS, 1, 0, 0, CELLS, 1);
    const { data } = context.getImageData(0, 0, CELLS, 1);
    const strip = readStrip((cell) => data[cell * 4 + 1]);
    if (strip === undefined) return;
    this.kept.add({ ...strip, decodedAtUs });
  }
}
