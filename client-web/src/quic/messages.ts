// What the page and the worker of one connection that brings frames whole say to each other.
import type { SoundCounts } from '../audio/order.ts';
import type { Micros, RtpTimestamp, Size } from '../units.ts';

/** Where to connect, as the node says it. */
export type LinkAddress =
  /** `hashes`: SHA-256 of the certificates to expect; none where the browser knows their issuer. */
  | { readonly kind: 'webtransport'; readonly url: string; readonly hashes: readonly Uint8Array<ArrayBuffer>[] }
  | { readonly kind: 'websocket'; readonly url: string };

export type PipeName = 'control' | 'input' | 'motion';

/** A picture on its way to whoever shows it; who gets it frees it. */
export interface Picture {
  readonly image: VideoFrame;
  readonly rtp: RtpTimestamp;
  readonly receivedAt: Micros;
  readonly decodedAt: Micros;
  readonly size: Size;
}

export type ToLink =
  /** Connect, within `limitMs`, and send pictures and sound there. */
  | { readonly type: 'open'; readonly address: LinkAddress; readonly limitMs: number; readonly pictures: MessagePort; readonly sound: MessagePort }
  | { readonly type: 'control'; readonly text: string }
  | { readonly type: 'input' | 'motion'; readonly bytes: Uint8Array<ArrayBuffer> }
  /** Code blocks of the microphone's samples that come on this port, and send them, from now on; or no more. */
  | { readonly type: 'voice'; readonly blocks: MessagePort | undefined }
  /** Send something, so that the node hears that the path is back. */
  | { readonly type: 'probe' }
  | { readonly type: 'close' };

/** How frames fared since the connection began. */
export interface LinkFigures {
  readonly received: number;
  readonly decoded: number;
  /** Never decoded: given up by the node, or without what they refer to. */
  readonly dropped: number;
  /** Average from whole at the worker to decoded, since the figures before. */
  readonly decodeMs: number | undefined;
}

/** How frames and packets of sound fared since the connection began. */
export interface AllFigures extends LinkFigures {
  readonly sound: SoundCounts;
}

export type FromLink =
  /** Everything can be said, and pictures come, since `at`. */
  | { readonly type: 'ready'; readonly connectMs: number; readonly at: Micros }
  | { readonly type: 'control'; readonly text: string }
  /** Bytes of a pipe that are on their way. */
  | { readonly type: 'sent'; readonly pipe: PipeName; readonly bytes: number }
  | { readonly type: 'figures'; readonly figures: AllFigures }
  /** The microphone's sound cannot be coded. */
  | { readonly type: 'voice-failed'; readonly reason: string }
  /** It is over. `reason` completes a sentence that begins with the transport's name. */
  | { readonly type: 'closed'; readonly reason: string; readonly cannotDecode: boolean };
