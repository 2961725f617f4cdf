// What a page puts in place to show a track. Two ways: frames one by one in a worker (lowest latency), or a
// video element. Each joins a decoder and a presenter (seam.ts).
import type { Settings } from '../settings.ts';
import { hasTrackProcessor } from '../platform.ts';
import { ElementView } from './element-view.ts';
import type { Progress, WhichStrips } from './messages.ts';
import type { StripSample } from './strip.ts';
import { WorkerView } from './worker-view.ts';

export interface ViewEvents {
  /** Frames were shown; the first of each track is told at once, then about ten times a second. */
  readonly onProgress: (progress: Progress) => void;
  /** Nothing more will be shown of this track. */
  readonly onStopped: (failure: string | undefined) => void;
}

export interface VideoView {
  readonly kind: 'track-processor' | 'video-element';
  /** What to put on the page: shows the whole picture in its own proportions. */
  readonly element: HTMLElement;
  /** Shows this track from now on, instead of the one before. */
  attach(track: MediaStreamTrack): void;
  /** Strips that were read, oldest first; none without `barcode`. */
  strips(which: WhichStrips): Promise<readonly StripSample[]>;
  close(): void;
}

export function createView(settings: Settings, events: ViewEvents): VideoView {
  return hasTrackProcessor() && !settings.forceVideoElement
    ? new WorkerView(settings.barcode, events)
    : new ElementView(settings.barcode, events);
}
