// What a session tells of itself.
import type { Micros } from '../units.ts';
import type { Cursor, Hello, LeaseStatus, PadEffects, PointerPlace, Rumble, Session, StartStep, Stats } from '../wire/index.ts';
import type { TransportKind } from './choice.ts';
import type { PlayState } from './state.ts';

export interface PlayEvents {
  /** The session was given, with what may be done in it. */
  readonly onSession: (session: Session) => void;
  readonly onState: (state: PlayState) => void;
  /** Show this track from now on. */
  readonly onTrack: (track: MediaStreamTrack) => void;
  /** Play this track from now on. */
  readonly onSound: (track: MediaStreamTrack, receiver: RTCRtpReceiver) => void;
  /** What the session came by, and why; known once it can be played. */
  readonly onTransport: (taken: Taken) => void;
  readonly onHello: (hello: Hello) => void;
  readonly onStats: (stats: Stats) => void;
  /** The microphone's sound cannot be sent. */
  readonly onSpeechFailed: (reason: string) => void;
  /** The game makes a gamepad rumble. */
  readonly onRumble: (rumble: Rumble) => void;
  /** The game makes a gamepad look or feel like this. */
  readonly onPadEffects: (effects: PadEffects) => void;
  /** What the session's start waits for at the node. */
  readonly onStarting: (step: StartStep) => void;
  /** The pointer of what is played looks like this from now on, or is hidden. */
  readonly onCursor: (cursor: Cursor) => void;
  /** It is here, in pixels of the picture; said to viewers, and to who follows it. */
  readonly onPointer: (place: PointerPlace) => void;
  /** Something was copied in what is played; `number` counts that. */
  readonly onCopied: (number: number) => void;
  /** The session ends in `inMs` for `reason`. */
  readonly onWarning: (reason: string, inMs: number) => void;
  /** How the order stands that the session is of. */
  readonly onLease: (status: LeaseStatus) => void;
  /** Input works again; whatever was held before is not held now. */
  readonly onInputReady: () => void;
}

/** The transport of a connection. */
export interface Taken {
  readonly kind: TransportKind;
  readonly reason: string;
  /** How long the handshakes took, where that is known. */
  readonly connectMs: number | undefined;
}

/** Moments of the start, for benches; client time. */
export interface StartTimes {
  /** When the user asked for it: the click, where there was one. */
  readonly askedUs: Micros;
  sessionUs?: Micros;
  answeredUs?: Micros;
  trackUs?: Micros;
  firstDecodedUs?: Micros;
  firstPresentedUs?: Micros;
}
