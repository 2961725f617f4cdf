// Why a session could not be had, of what went wrong.
import { ApiFailure, ApiProblem } from '../api.ts';
import type { RefusedReason } from './state.ts';

export type Lost = 'broken' | 'no-picture';

/** A connection that broke, or never showed a picture. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
  constructor(readonly reason: Lost) {
    super(reason === 'broken' ? 'The connection broke' : 'The node answered, but no picture came');
  }
}

/** The reason that an error is; `byLink` when a link was to be redeemed. */
export function refusal(error: unknown, byLink: boolean): RefusedReason {
  if (error instanceof ApiProblem) {
    // No operator's token makes a link good again.
    if (byLink && (error.reason === 'unauthorized' || error.reason === 'unknown-session')) return 'link-used';
    if (error.reason === 'unusable-offer') return 'no-codec';
    if (
      error.reason === 'refused' ||
      error.reason === 'invitation' ||
      error.reason === 'unauthorized' ||
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
