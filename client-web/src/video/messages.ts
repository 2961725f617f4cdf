// What the page and the presenting worker say to each other.
import type { FrameReport } from '../wire/index.ts';
import type { Decoded, Shown } from './reports.ts';
import type { StripSample } from './strip.ts';

/** The newest one, which stays, or all since the last such question. */
export type WhichStrips = 'newest' | 'all';

export type ToWorker =
  | { readonly type: 'canvas'; readonly canvas: OffscreenCanvas; readonly strips: boolean }
  /** A new stream of decoded frames; it takes the place of the one before. */
  | { readonly type: 'frames'; readonly frames: ReadableStream<VideoFrame> }
  /** The same of pictures that another worker decodes (quic/messages.ts). */
  | { readonly type: 'pictures'; readonly port: MessagePort }
  | { readonly type: 'strips'; readonly id: number; readonly which: WhichStrips }
  | { readonly type: 'close' };

/** The newest frame that was shown, and what came of the frames since the last such message. */
export interface Progress extends Shown {
  /** Frames shown in all. */
  readonly presented: number;
  readonly reports: readonly FrameReport[];
}

export type FromWorker =
  | { readonly type: 'decoded'; readonly frame: Decoded }
  | { readonly type: 'progress'; readonly progress: Progress }
  | { readonly type: 'strips'; readonly id: number; readonly strips: readonly StripSample[] }
  /** The frames stopped: their track ended, or drawing failed. */
  | { readonly type: 'stopped'; readonly failure: string | undefined };
