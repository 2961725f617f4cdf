// The machine-readable strip that a session made with `barcode` carries: 33 square cells of 16 pixels
// from the upper left corner, white for 1, most significant bit first: 16 bits of the frame id, 16 bits
// of the newest input's number, even parity over both. The drawing side is media/src/barcode.rs.
import type { Micros } from '../units.ts';
import type { WhichStrips } from './messages.ts';
import type { DecodedFrame } from './seam.ts';

/** Edge of a cell in pixels of the coded picture. */
export const CELL = 16;
/** Cells in a strip. */
export const CELLS = 33;
/** Between black (16) and white (235) of limited-range luma; the rounding of full range fits too. */
const THRESHOLD = 126;

export interface Strip {
  /** Frame id modulo 2^16. */
  readonly frame: number;
  /** Number of the newest input that the picture shows, modulo 2^16; 0 when there was none. */
  readonly input: number;
}

/** A strip and when its frame came out of the decoder. */
export interface StripSample extends Strip {
  readonly decodedAtUs: Micros;
}

/**
 * Reads a strip from one brightness a cell, `at(cell)` in 0 to 255. Undefined when the parity is odd,
 * that is, when there is no strip or a cell is unreadable.
 */
export function readStrip(at: (cell: number) => number | undefined): Strip | undefined {
  let word = 0;
  let ones = 0;
  for (let cell = 0; cell < CELLS; cell += 1) {
    const brightness = at(cell);
    if (brightness === undefined) return undefined;
    const bit = brightness > THRESHOLD ? 1 : 0;
    ones += bit;
    if (cell < CELLS - 1) word = ((word << 1) | bit) >>> 0;
  }
  return ones % 2 === 0 ? { frame: word >>> 16, input: word & 0xffff } : undefined;
}

/** Reads the strips of the pictures that come by, each in the way that its kind of image allows. */
export interface StripReader<Image> {
  read(frame: DecodedFrame<Image>): void | Promise<void>;
  /** See `StripLog.take`. */
  take(which: WhichStrips): readonly StripSample[];
}

/** Strips kept for who asks later: about a minute at 60 frames a second. The oldest go first. */
const KEPT = 4096;

export class StripLog {
  private readonly kept: StripSample[] = [];
  private newest: StripSample | undefined;

  add(sample: StripSample): void {
    if (this.kept.length === KEPT) this.kept.shift();
    this.kept.push(sample);
    this.newest = sample;
  }

  take(which: WhichStrips): readonly StripSample[] {
    if (which === 'all') return this.kept.splice(0);
    return this.newest === undefined ? [] : [this.newest];
  }
}
