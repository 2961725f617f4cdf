// Puts a frame together from the pieces of its stream.
import type { Micros } from '../units.ts';
import { FrameError, HEADER_BYTES, MOST_BYTES, parseHeader, type FrameHeader } from './header.ts';

/** A whole frame and when it came. */
export interface ReceivedFrame extends FrameHeader {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly firstAt: Micros;
  readonly lastAt: Micros;
}

/** What a frame whose length is not told is given room for at first. */
const FIRST_BYTES = 64 * 1024;

/** Holds one frame: at most what its header says, or what any may have (header.ts). */
export class FrameAssembler {
  private readonly head = new Uint8Array(HEADER_BYTES);
  private read = 0;
  private data = new Uint8Array(0);
  private firstAt: Micros | undefined;
  private lastAt: Micros | undefined;
  private known: FrameHeader | undefined;

  /** What is known of the frame as soon as its header came. */
  get header(): FrameHeader | undefined {
    return this.known;
  }

  /**
   * Takes a piece that came at this time; yields the frame with its last byte, where its length was told.
   * Throws a `FrameError` at what is no frame, and at bytes beyond one.
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
      this.data = new Uint8Array(this.known.bytes ?? FIRST_BYTES);
      this.read = 0;
    }
    const end = this.read + rest.length;
    if (end > (this.known.bytes ?? MOST_BYTES)) throw new FrameError('length');
    if (end > this.data.length) this.grow(end);
    this.data.set(rest, this.read);
    this.read = end;
    if (rest.length > 0) this.lastAt = at;
    return this.read === this.known.bytes && rest.length > 0 ? this.whole(this.known) : undefined;
  }

  /** The stream came to its end; yields the frame where that is what tells its length. */
  end(): ReceivedFrame | undefined {
    return this.known !== undefined && this.known.bytes === undefined && this.read > 0 ? this.whole(this.known) : undefined;
  }

  private whole(header: FrameHeader): ReceivedFrame | undefined {
    const { firstAt, lastAt } = this;
    if (firstAt === undefined || lastAt === undefined) return undefined;
    return { ...header, data: this.data.subarray(0, this.read), firstAt, lastAt };
  }

  private grow(bytes: number): void {
    const data = new Uint8Array(Math.min(MOST_BYTES, Math.max(bytes, 2 * this.data.length)));
    data.set(this.data.subarray(0, this.read));
    this.data = data;
  }
}
