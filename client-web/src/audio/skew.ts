// How far sound and picture are apart, where this page plays both: when each was heard and seen, by times on
// one clock of the node's.
import type { RtpTimestamp } from '../units.ts';

/** Something with a time of the node's, and when it was seen or heard here. */
export interface Moment {
  readonly rtp: RtpTimestamp;
  /** On the scale of `performance.now()`. */
  readonly at: number;
}

/** Clocks of 90 and of 48 kHz that began together meet again at this distance, in milliseconds. */
const MEET_MS = 2 ** 32 / 90 / 8;

/**
 * Milliseconds by which the sound is later than the picture. Of the sound that is heard `at` this moment, `samples` is its place
 * on a clock of 48 kHz that began with that of the picture, however often either wrapped.
 */
export function skewMs(sound: { readonly samples: number; readonly at: number }, picture: Moment): number {
  const apart = sound.samples / 48 - picture.rtp / 90;
  return sound.at - picture.at - (apart - MEET_MS * Math.round(apart / MEET_MS));
}

/** Longest delay of sound for the picture's sake. */
const MOST_HOLD_MS = 250;
/** A difference that is left alone: half of what is meant to be reached. */
const TOLERANCE_MS = 10;
/** Part of a difference that each report corrects: the reserve follows within some reports. */
const SHARE = 0.3;

/**
 * Delays the sound where the picture takes longer. The other way nothing is delayed: a picture that is late is
 * felt, a sound that is some milliseconds late is not.
 */
export class Hold {
  private ms = 0;

  /** The sound is so much later than the picture; yields how long to hold it. */
  follow(skew: number): number {
    const early = -skew;
    if (early > TOLERANCE_MS || (early < -TOLERANCE_MS && this.ms > 0)) {
      this.ms = Math.min(Math.max(this.ms + early * SHARE, 0), MOST_HOLD_MS);
    }
    return this.ms;
  }
}
