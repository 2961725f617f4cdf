// Units as types: a number that is a time in microseconds cannot be given where milliseconds are due.

declare const unit: unique symbol;
type Branded<Name extends string> = number & { readonly [unit]: Name };

/** Microseconds since the epoch on this client's clock, an integer. */
export type Micros = Branded<'us'>;
/** A length in milliseconds. */
export type Milliseconds = Branded<'ms'>;
/** An RTP timestamp: 90 kHz, wraps at 2^32. */
export type RtpTimestamp = Branded<'rtp'>;
/** A number that this client gave to an input event, wraps at 2^32. */
export type InputSeq = Branded<'seq'>;

export const ms = (value: number): Milliseconds => value as Milliseconds;
export const rtp = (value: number): RtpTimestamp => (value >>> 0) as RtpTimestamp;

/**
 * Now on this client's clock: `timeOrigin + now()`, which windows and workers share, unlike `Date.now()`
 * monotonic.
 */
export const clientNow = (): Micros => toMicros(performance.now());

/** A time on the scale of `performance.now()` as client time. */
export const toMicros = (sinceOrigin: number): Micros =>
  Math.round((performance.timeOrigin + sinceOrigin) * 1000) as Micros;

/** A picture's size in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}
