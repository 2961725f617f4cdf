// The states of a session as the player sees them.
//
//   idle ── start ──▶ connecting ── first picture ──▶ live ◀── first picture ──┐
//                       │    │                         │                        │
//                 refused    └──── ended ◀─────────────┼── connection lost ──▶ reconnecting
//                (reason)         (reason)  ◀──────────┴────── gave up ─────────┘
//
// `refused` and `ended` are final; playing again makes a new session.

/** Why a session was not given. */
export type RefusedReason =
  /** The node takes no more for now. */
  | 'refused'
  /** The node cannot play this: something is not installed, or more than the whole node has is needed. */
  | 'unplayable'
  /** A token is needed, or the one given is wrong. */
  | 'unauthorized'
  /** The machine is rented: its renter, or somebody with a ticket, must say so. */
  | 'rented'
  /** The link was used before, is too old, or leads to no session. */
  | 'link-used'
  /** The invitation has expired, was taken back, or was used up. */
  | 'invitation'
  | 'unknown-app'
  /** The node does not let pages of this origin in. */
  | 'foreign-origin'
  /** The node and this browser have no codec in common. */
  | 'no-codec'
  | 'unreachable'
  /** Signalling went through and media never came. */
  | 'no-media'
  | 'failed';

/** Why a session is over. */
export type EndedReason =
  /** The user left. */
  | 'left'
  /** It ended at the node, which says how by a code: left, idle, at its time limit, shut down, failed. */
  | 'by-node'
  /** The connection broke and did not come back in time. */
  | 'lost'
  /** The browser stopped decoding or drawing. */
  | 'presenter';

export type ConnectingStep = 'session' | 'connection' | 'picture';

export type PlayState =
  | { readonly name: 'idle' }
  | { readonly name: 'connecting'; readonly step: ConnectingStep }
  | { readonly name: 'live' }
  | { readonly name: 'reconnecting'; readonly attempt: number }
  | { readonly name: 'refused'; readonly reason: RefusedReason; readonly detail: string | undefined }
  | { readonly name: 'ended'; readonly reason: EndedReason; readonly detail: string | undefined; readonly code?: string | undefined };

export type EndedState = Extract<PlayState, { name: 'ended' }>;
export type FinalState = Extract<PlayState, { name: 'refused' | 'ended' }>;

export function isFinal(state: PlayState): state is FinalState {
  return state.name === 'refused' || state.name === 'ended';
}
