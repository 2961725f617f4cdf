// Plays blocks of sound at their times: a ring of samples, and how far behind the newest it is read.
//
// Positions are samples on the source's timeline. How early a block comes before it is due, at the least of
// two seconds, is the buffer's reserve; it is held at a margin (reserve.ts), by playing a little slower or faster, which
// also follows clocks that drift apart. So the buffer is as long as the path's jitter and no longer. A block
// that comes too late moves the whole playout back at once. `hold` delays beyond that, for a picture that
// takes longer than the sound.
//
// Where samples are missing the last one fades, and what comes after fades in.

import { QUANTUM, Reserve } from './reserve.ts';

export const SAMPLE_RATE = 48_000;
const CAPACITY = SAMPLE_RATE;
/** Before anything is known of the path. */
const FIRST_RESERVE = 0.012 * SAMPLE_RATE;
/** An error of the reserve that is left alone: the audio thread's turn makes so much of a difference. Of a larger one nothing is left over. */
const TOLERANCE = QUANTUM / 2;
/** A larger one is not played through, but skipped: the browser's audio thread stood still, which was heard anyway. */
const SKIP = 0.06 * SAMPLE_RATE;
/** The same while nothing is to be heard; beyond what paths vary by, of which few blocks in silence tell little. */
const SKIP_IN_SILENCE = 0.03 * SAMPLE_RATE;
/** The same where all blocks come earlier than any before, or as it begins. */
const SKIP_SOON = 0.008 * SAMPLE_RATE;
/** It begins for so long, or until so many blocks were late, which is the path's doing: page and audio thread begin, too, and stand still, of which nothing is to stay. */
const BEGINNING = 2 * SAMPLE_RATE;
const LATE_AT_FIRST = 2;
/** Most change of speed: a tenth of a semitone, which nobody hears. */
const MOST_CHANGE = 0.006;
/** Seconds in which an error is to be gone, where that takes no more change. */
const CORRECT_IN = 2;
/** The same of what is too much as it begins. It is longer than silence is without a block, which would correct too much. */
const BEGIN_IN = 0.5;
const FADE = 0.004 * SAMPLE_RATE;

export interface PlayoutFigures {
  /** Samples that wait. */
  readonly buffered: number;
  /** Blocks that came after their time. */
  readonly late: number;
  /** Times that it had nothing to play though the sound before had not faded by itself. */
  readonly starved: number;
  /** Sum of the squares of what was played, all channels. */
  readonly energy: number;
}

export class Playout {
  private readonly ring: readonly Float32Array[];
  /** What is played next; undefined before the first block. */
  private position: number | undefined;
  /** Where the newest block ends. */
  private end = 0;
  private speed = 1;
  private gain = 0;
  /** The samples that were played last, one of each channel. */
  private readonly last: Float32Array;
  private hold = 0;
  /** Samples played in all, as a clock. */
  private played = 0;
  /** The same when it was decided where to begin. */
  private begun = 0;
  /** Blocks that were late since, and what had been heard before. */
  private lateSince = 0;
  private energyBefore = 0;
  private readonly reserve = new Reserve();
  private counts = { late: 0, starved: 0, energy: 0 };

  /** Blocks of fewer channels are the first ones of these. */
  constructor(channels = 2) {
    this.ring = Array.from({ length: channels }, () => new Float32Array(CAPACITY));
    this.last = new Float32Array(channels);
  }

  /** Where it is on the source's timeline. */
  get at(): number | undefined {
    return this.position;
  }

  get figures(): PlayoutFigures {
    return { buffered: this.position === undefined ? 0 : Math.max(0, this.end - this.position), ...this.counts };
  }

  /** Samples by which it is to be later than it need be. */
  setHold(samples: number): void {
    if (Number.isFinite(samples)) this.hold = Math.min(Math.max(samples, 0), CAPACITY / 2);
  }

  /** A block whose first sample belongs at `at`. */
  push(at: number, channels: readonly Float32Array[]): void {
    const length = channels[0]?.length ?? 0;
    if (length === 0 || length > CAPACITY / 4 || !channels.every((channel) => channel.length === length) || !Number.isSafeInteger(at)) return;
    // As long as the browser plays nothing, what came before is of no use any more.
    const waits = this.played === this.begun;
    if (this.position === undefined || waits || Math.abs(at - this.position) > CAPACITY * 4) {
      this.begun = this.played;
      this.lateSince = 0;
      this.energyBefore = this.counts.energy;
      this.position = at - FIRST_RESERVE - this.hold;
      this.end = at;
      this.forget();
    }
    if (at < this.end - CAPACITY / 2) return;
    const follows = at === this.end;
    // Between blocks is silence.
    if (at > this.end) this.clear(this.end, at);
    this.write(at, length, channels);
    this.end = Math.max(this.end, at + length);
    this.steer(at - this.position, follows);
  }

  /** Fills what the browser plays next. */
  render(out: readonly Float32Array[]): void {
    const { last, counts } = this;
    const length = out[0]?.length ?? 0;
    for (let n = 0; n < length; n += 1) {
      this.step();
      for (let channel = 0; channel < last.length; channel += 1) {
        const sample = last[channel] ?? 0;
        const to = out[channel];
        if (to !== undefined) to[n] = sample;
        counts.energy += sample ** 2;
      }
    }
    this.played += length;
  }

  private step(): void {
    if (this.position === undefined) return;
    const { last, ring } = this;
    // Four samples around the place are needed.
    const played = this.position + 2 < this.end;
    if (played) {
      this.gain = Math.min(1, this.gain + 1 / FADE);
      const whole = Math.floor(this.position);
      const part = this.position - whole;
      for (let channel = 0; channel < last.length; channel += 1) last[channel] = this.gain * cubic(ring[channel], whole, part);
    } else if (this.gain > 0) {
      if (this.gain === 1 && last.some((sample) => Math.abs(sample) > 1e-4)) this.counts.starved += 1;
      const gain = Math.max(0, this.gain - 1 / FADE);
      for (let channel = 0; channel < last.length; channel += 1) last[channel] = ((last[channel] ?? 0) * gain) / this.gain;
      this.gain = gain;
    } else {
      last.fill(0);
    }
    this.position += played ? this.speed : 1;
  }

  /** A block came so long before it is due; whether it follows the one before it. */
  private steer(reserve: number, follows: boolean): void {
    if (this.position === undefined) return;
    const begins = this.lateSince < LATE_AT_FIRST && this.played - this.begun < BEGINNING;
    if (reserve < 0) {
      // In silence nothing was waiting for it.
      if (follows && !begins) this.reserve.late(this.played);
      if (this.gain > 0 || this.counts.energy > this.energyBefore) {
        this.counts.late += 1;
        this.lateSince += 1;
      }
      this.move(reserve - this.reserve.margin - this.hold);
      return;
    }
    const wanted = this.reserve.margin + this.hold;
    // Nothing was played for some time: what is older would be overwritten before it is heard.
    if (reserve > CAPACITY / 2) {
      this.move(reserve - wanted);
      return;
    }
    const error = this.reserve.early(reserve, this.played, begins) - wanted;
    const { newest, stood } = this.reserve;
    if (begins && newest - wanted > SKIP_SOON) {
      this.move(newest - wanted);
    } else if (stood > SKIP_SOON) {
      this.position += stood;
      this.gain = 0;
      this.reserve.skipped();
    } else if (error > SKIP || (error > SKIP_IN_SILENCE && this.reserve.isKnown && this.gain === 0)) {
      this.move(error);
    } else if (error >= -TOLERANCE && error <= (this.speed > 1 ? 0 : TOLERANCE)) {
      this.speed = 1;
    } else {
      const change = error / SAMPLE_RATE / (begins && error > 0 ? BEGIN_IN : CORRECT_IN);
      this.speed = 1 + Math.min(Math.max(change, -MOST_CHANGE), MOST_CHANGE);
    }
  }

  /** Goes on elsewhere. */
  private move(samples: number): void {
    if (this.position === undefined) return;
    this.position += samples;
    this.gain = 0;
    this.forget();
  }

  /** What was known of the reserve is true no more. */
  private forget(): void {
    this.reserve.forget(this.played);
    this.speed = 1;
  }

  private clear(from: number, to: number): void {
    for (let at = Math.max(from, to - CAPACITY); at < to; at += 1) {
      const place = modulo(at);
      for (const ring of this.ring) ring[place] = 0;
    }
  }

  private write(at: number, length: number, channels: readonly Float32Array[]): void {
    for (const [channel, ring] of this.ring.entries()) {
      const from = channels[channel];
      for (let n = 0; n < length; n += 1) ring[modulo(at + n)] = from?.[n] ?? 0;
    }
  }
}

function modulo(at: number): number {
  return ((at % CAPACITY) + CAPACITY) % CAPACITY;
}

/** Catmull and Rom's spline through the samples around `whole`; at `part` 0 it is that sample. */
function cubic(ring: Float32Array | undefined, whole: number, part: number): number {
  if (ring === undefined) return 0;
  const b = ring[modulo(whole)] ?? 0;
  if (part === 0) return b;
  const [a, c, d] = [ring[modulo(whole - 1)] ?? 0, ring[modulo(whole + 1)] ?? 0, ring[modulo(whole + 2)] ?? 0];
  return b + 0.5 * part * (c - a + part * (2 * a - 5 * b + 4 * c - d + part * (3 * (b - c) + d - a)));
}
