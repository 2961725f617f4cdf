// Shows decoded frames. Two ways: frames one by one in a worker (lowest latency), or a video element.
import type { Settings } from '../settings.ts';
import { hasTrackProcessor } from '../platform.ts';
import type { Progress, WhichStrips } from './messages.ts';
import type { StripSample } from './strip.ts';
import { TrackProcessorPresenter } from './track-processor.ts';
import { VideoElementPresenter } from './video-element.ts';

export interface PresenterEvents {
  /** Frames were shown; the first of each track is told at once, then about ten times a second. */
  readonly onProgress: (progress: Progress) => void;
  /** Nothing more will be shown of this track. */
  readonly onStopped: (failure: string | undefined) => void;
}

export interface Presenter {
  readonly kind: 'track-processor' | 'video-element';
  /** What to put on the page: shows the whole picture in its own proportions. */
  readonly element: HTMLElement;
  /** Shows this track from now on, instead of the one before. */
  attach(track: MediaStreamTrack): void;
  /** Strips that were read, oldest first; none without `barcode`. */
  strips(which: WhichStrips): Promise<readonly StripSample[]>;
  close(): void;
}

export function createPresenter(settings: Settings, events: PresenterEvents): Presenter {
  return hasTrackProcessor() && !settings.forceVideoElement
    ? new TrackProcessorPresenter(settings.barcode, events)
    : new VideoElementPresenter(settings.barcode, events);
}
