// What the worker of a connection, the browser's audio thread and the page say to each other of sound.

import type { SoundCounts } from './order.ts';

/** A decoded block, from the worker to the audio thread. */
export interface SoundBlock {
  /** Where its first sample belongs on the source's timeline, in samples of 48 kHz. */
  readonly at: number;
  /** Two or more. */
  readonly channels: readonly Float32Array<ArrayBuffer>[];
}

/** What the worker that takes a track's sound is given. */
export interface TrackTransform {
  /** Where decoded blocks go. */
  readonly blocks: MessagePort;
}

/** What it says of that sound every second. */
export type TrackFigures = SoundCounts;

export type ToPlayout =
  /** Blocks come here from now on. */
  | { readonly type: 'blocks'; readonly port: MessagePort }
  /** Samples to be later by. */
  | { readonly type: 'hold'; readonly samples: number }
  /** Nothing is played any more, and the port of the blocks is given back. */
  | { readonly type: 'leave' };

export type FromPlayout =
  | { readonly type: 'report'; readonly report: PlayoutReport }
  | { readonly type: 'left'; readonly port: MessagePort };

/** How playing goes, a few times a second. */
export interface PlayoutReport {
  /** What is played at `contextTime`, in samples on the source's timeline; undefined before there is any. */
  readonly at: number | undefined;
  /** Seconds of the audio context. */
  readonly contextTime: number;
  readonly buffered: number;
  readonly late: number;
  readonly starved: number;
  readonly energy: number;
}
