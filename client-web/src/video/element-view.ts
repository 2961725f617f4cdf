// Frames by a video element, for browsers without a track processor and for high dynamic range. Adds a
// compositor's wait of about 10 ms; times come from requestVideoFrameCallback.
import { ElementDecoder } from './element-decoder.ts';
import { ElementPresenter } from './element-presenter.ts';
import { ElementStripReader } from './element-strips.ts';
import type { WhichStrips } from './messages.ts';
import { Pipeline } from './pipeline.ts';
import { ProgressBatch } from './reports.ts';
import type { StripSample } from './strip.ts';
import type { VideoView, ViewEvents } from './view.ts';

export class ElementView implements VideoView {
  readonly kind = 'video-element';
  readonly element: HTMLVideoElement;
  private readonly pipeline: Pipeline<HTMLVideoElement>;

  constructor(strips: boolean, events: ViewEvents) {
    const video = document.createElement('video');
    video.muted = true;
    video.playsInline = true;
    video.autoplay = true;
    video.disablePictureInPicture = true;
    this.element = video;
    const reader = strips ? new ElementStripReader() : undefined;
    this.pipeline = new Pipeline(new ElementPresenter(), reader, new ProgressBatch(events.onProgress, events.onDecoded), events.onStopped);
  }

  attach(track: MediaStreamTrack): void {
    this.pipeline.play(new ElementDecoder(this.element, track));
  }

  /** An element shows tracks only; such a connection is not chosen where this view is (session/choice.ts). */
  attachPictures(pictures: MessagePort): void {
    pictures.close();
  }

  strips(which: WhichStrips): Promise<readonly StripSample[]> {
    return Promise.resolve(this.pipeline.takeStrips(which));
  }

  close(): void {
    this.pipeline.close();
    this.element.srcObject = null;
    this.element.remove();
  }
}
