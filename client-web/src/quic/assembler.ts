// Puts a frame together from the pieces of its stream.
import type { Micros } from '../units.ts';
import { FrameError, HEADER_BYTES, parseHeader, type FrameHeader } from './header.ts';

/** A whole frame and when it came. */
export interface ReceivedFrame extends FrameHeader {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly firstAt: Micros;
  readonly lastAt: Micros;
}

/** Holds one frame: at most what its header says, which is bounded (header.ts). */
export class FrameAssembler {
  private readonly head = new Uint8Array(HEADER_BYTES);
  private read = 0;
  private data = new Uint8Array(0);
  private firstAt: Micros | undefined;
  private known: FrameHeader | undefined;

  /** What is known of the frame as soon as its header came. */
  get header(): FrameHeader | undefined {
    return this.known;
  }

  /**
   * Takes a piece that came at this time; yields the frame with its last byte. Throws a `FrameError` at
   * what is no frame, and at bytes beyond one.
   */
  push(piece: Uint8Array, at: Micros): ReceivedFrame | undefined {
    this.firstAt ??= at;
    let rest = piece;
    if (this.known === undefined) {
      const part = rest.subarray(0, HEADER_BYTES - this.read);
      this.head.set(part, this.read);
      this.read += part.length;
      if (this.read < HEADER_BYTES) return undefined;
      rest = rest.subarray(part.length);
      this.known = parseHeader(this.head);
      this.data = new Uint8Array(this.known.bytes);
      this.read = 0;
    }
    if (rest.length > this.known.bytes - this.read) throw new FrameError('length');
    this.data.set(rest, this.read);
    this.read += rest.length;
    if (this.read < this.known.bytes || rest.length === 0) return undefined;
    return { ...this.known, data: this.data, firstAt: this.firstAt, lastAt: at };
  }
}
