// What the page says of each frame as soon as it knows it: the other side of media/src/acks.rs, the same
// bytes on every transport. Messages may be lost, so each repeats the newest frames.
import type { Micros, RtpTimestamp } from '../units.ts';

const VERSION = 1;
const HEAD = 2;
const ENTRY = 21;
/** Most frames in a message. */
export const MOST_ACKS = 32;
/** Says that the length of the decoder's queue is not known. */
const UNKNOWN_QUEUE = 0xff;

/** How far a frame came: whole at the page, decoded with all that it needs, or never to be decoded. */
const STATES = { received: 0, decoded: 1, dropped: 2 } as const;
export type AckState = keyof typeof STATES;

export interface FrameAck {
  /** The timestamp that the transport sent it with. */
  readonly rtp: RtpTimestamp;
  readonly state: AckState;
  /** When its first byte came, not after its last; the time of decoding where the browser does not tell. */
  readonly firstAt: Micros;
  readonly lastAt: Micros;
}

/**
 * One message. Frames beyond the newest `MOST_ACKS`, which stand last, are left out. `decodeQueue` is how
 * many wait for the decoder, undefined where the browser does not tell.
 */
export function encodeAcks(decodeQueue: number | undefined, frames: readonly FrameAck[]): Uint8Array<ArrayBuffer> {
  const newest = frames.slice(-MOST_ACKS);
  const message = new Uint8Array(HEAD + ENTRY * newest.length);
  const view = new DataView(message.buffer);
  view.setUint8(0, VERSION);
  view.setUint8(1, decodeQueue === undefined ? UNKNOWN_QUEUE : Math.min(decodeQueue, UNKNOWN_QUEUE - 1));
  newest.forEach(({ rtp, state, firstAt, lastAt }, index) => {
    const at = HEAD + ENTRY * index;
    view.setUint32(at, rtp);
    view.setUint8(at + 4, STATES[state]);
    view.setBigUint64(at + 5, BigInt(firstAt));
    view.setBigUint64(at + 13, BigInt(lastAt));
  });
  return message;
}

/** Frames in each message: one that is lost heals with any of the three after it, for 86 bytes in all. */
export const REPEATED = 4;

/** Tells of each frame at once, and of the newest ones before it again. */
export class AckWriter {
  private readonly newest: FrameAck[] = [];

  /** `send` takes a whole message, which may be lost. */
  constructor(private readonly send: (message: Uint8Array<ArrayBuffer>) => void) {}

  /** Tells how far a frame came. What was told of it before is not repeated. */
  note(ack: FrameAck, decodeQueue: number | undefined): void {
    const before = this.newest.findIndex(({ rtp }) => rtp === ack.rtp);
    if (before >= 0) this.newest.splice(before, 1);
    else if (this.newest.length === REPEATED) this.newest.shift();
    this.newest.push(ack);
    this.send(encodeAcks(decodeQueue, this.newest));
  }

  /** Tells the newest again, if only to be heard. */
  repeat(): void {
    if (this.newest.length > 0) this.send(encodeAcks(undefined, this.newest));
  }
}
