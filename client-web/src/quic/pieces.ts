// Frames out of the pieces that a WebSocket brings (media/src/websocket.rs).
import type { Micros } from '../units.ts';
import { FrameAssembler, type ReceivedFrame } from './assembler.ts';
import { FrameError, type FrameHeader } from './header.ts';

/** First bytes of messages: those of the client are the numbers of the channels. */
export const MESSAGE = { control: 0x00, input: 0x01, motion: 0x02, acks: 0x03, frame: 0x12 } as const;
const HEAD_BYTES = 3;
const [FIRST, LAST] = [1, 2];
/** Tracks that are put together at once; the node has no more. */
const MOST_TRACKS = 4;

export interface PieceEvents {
  readonly onFrame: (frame: ReceivedFrame) => void;
  /** The node gave it up. */
  readonly onLost: (header: FrameHeader, firstAt: Micros) => void;
}

interface Open {
  readonly assembler: FrameAssembler;
  readonly firstAt: Micros;
}

/** Holds one frame of each track. */
export class PieceReader {
  private readonly tracks = new Map<number, Open>();

  constructor(private readonly events: PieceEvents) {}

  /** Takes a piece, which came at this time. Throws a `FrameError` at what is none. */
  push(message: Uint8Array, at: Micros): void {
    const [kind, flags, track] = message;
    if (kind !== MESSAGE.frame || flags === undefined || track === undefined || track >= MOST_TRACKS) throw new FrameError('length');
    if ((flags & FIRST) !== 0) {
      this.giveUp(track);
      this.tracks.set(track, { assembler: new FrameAssembler(), firstAt: at });
    }
    const open = this.tracks.get(track);
    if (open === undefined) throw new FrameError('length');
    const whole = open.assembler.push(message.subarray(HEAD_BYTES), at);
    if ((flags & LAST) === 0) {
      // It goes on with nothing.
      if (whole !== undefined) throw new FrameError('length');
      return;
    }
    const frame = whole ?? open.assembler.end();
    if (frame === undefined) throw new FrameError('length');
    this.tracks.delete(track);
    this.events.onFrame(frame);
  }

  private giveUp(track: number): void {
    const open = this.tracks.get(track);
    this.tracks.delete(track);
    if (open?.assembler.header !== undefined) this.events.onLost(open.assembler.header, open.firstAt);
  }
}
