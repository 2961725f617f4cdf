// What a page puts in place to show a track. Two ways: frames one by one in a worker (lowest latency), or a
// video element. Each joins a decoder and a presenter (seam.ts); the picture's range chooses (ranged-view.ts).
import type { Settings } from '../settings.ts';
import { hasTrackProcessor, lacks } from '../platform.ts';
import type { Lacks } from '../session/choice.ts';
import { ElementView } from './element-view.ts';
import type { Progress, WhichStrips } from './messages.ts';
import type { Decoded } from './reports.ts';
import { RangedView } from './ranged-view.ts';
import type { StripSample } from './strip.ts';
import { WorkerView } from './worker-view.ts';

export interface ViewEvents {
  /** A frame is decoded; told at once, and of the same one again where two views show a track. */
  readonly onDecoded: (frame: Decoded) => void;
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
  /** Shows the pictures that come on this port from now on (quic/connection.ts), instead of the track before. */
  attachPictures(pictures: MessagePort): void;
  /** Strips that were read, oldest first; none without `barcode`. */
  strips(which: WhichStrips): Promise<readonly StripSample[]>;
  close(): void;
}

/** Whether frames are shown one by one, in a worker. */
export function showsFrames({ forceVideoElement }: Pick<Settings, 'forceVideoElement'>): boolean {
  return hasTrackProcessor() && !forceVideoElement;
}

/** What a page lacks for each transport, in words: those that bring frames whole need a canvas for them. */
export function lacksOf(settings: Pick<Settings, 'forceVideoElement'>): Lacks {
  if (showsFrames(settings)) return lacks();
  const frames = 'pictures are shown by a video element here';
  return { ...lacks(), webtransport: frames, websocket: frames };
}

/**
 * Browsers show a video element in the range that the display has. A canvas has standard range: Chromium 156
 * knows sRGB and Display P3 for 2D contexts and refuses `rec2100-pq`, which is a proposal so far.
 */
export function viewKind(hdr: boolean, trackProcessor: boolean): VideoView['kind'] {
  return trackProcessor && !hdr ? 'track-processor' : 'video-element';
}

export function createView(settings: Settings, events: ViewEvents): RangedView {
  const trackProcessor = showsFrames(settings);
  return new RangedView(
    settings.video.hdr === true,
    (hdr) => viewKind(hdr, trackProcessor),
    (kind, of) => (kind === 'track-processor' ? new WorkerView(settings.barcode, of) : new ElementView(settings.barcode, of)),
    events,
  );
}
