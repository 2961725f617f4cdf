import type { RtpTimestamp } from '../units.ts';

/** Timestamps of 32 bits as numbers that go on growing. Neighbours lie less than half the range apart. */
export class Unwrapped {
  private last: number | undefined;

  of(timestamp: RtpTimestamp): number {
    this.last = this.last === undefined ? timestamp : this.last + ((timestamp - this.last) | 0);
    return this.last;
  }
}
