// Why a session could not be had, of what went wrong.
import { ApiFailure, ApiProblem } from '../api.ts';
import type { RefusedReason } from './state.ts';

/**
 * An answered offer must bring a connection within this time where another transport may do better: five round trips by
 * way of a satellite, for TCP and DTLS. Milliseconds.
 */
export const CONNECT_MS = 6_000;

export type Lost = 'broken' | 'no-picture' | 'no-connection';

const WORDS: Readonly<Record<Lost, string>> = {
  broken: 'The connection broke',
  'no-picture': 'The node answered, but no picture came',
  'no-connection': 'The node answered, but did not connect',
};

/** A connection that broke, or never showed a picture. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
  constructor(readonly reason: Lost) {
    super(WORDS[reason]);
  }
}

/** The reason that an error is; `byLink` when a link was to be redeemed. */
export function refusal(error: unknown, byLink: boolean): RefusedReason {
  if (error instanceof ApiProblem) {
    // No operator's token makes a link good again.
    if (byLink && (error.reason === 'unauthorized' || error.reason === 'unknown-session')) return 'link-used';
    if (error.reason === 'unusable-offer') return 'no-codec';
    // What may pass is told with when to try again.
    if (error.reason === 'refused') return error.retryAfter === undefined ? 'unplayable' : 'refused';
    if (
      error.reason === 'invitation' ||
      error.reason === 'unauthorized' ||
      error.reason === 'rented' ||
      error.reason === 'unknown-app' ||
      error.reason === 'foreign-origin'
    ) {
      return error.reason;
    }
    return 'failed';
  }
  if (error instanceof ConnectionLost) return 'no-media';
  if (error instanceof ApiFailure && error.reason !== 'malformed') return 'unreachable';
  return 'failed';
}
