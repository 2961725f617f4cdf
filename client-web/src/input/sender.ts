// Sends input on two channels with one row of numbers: motion of the pointer and of gamepads' sticks on the
// unreliable one, everything else on the reliable one.
//
// Bounds: motion is refused while more than 2 KiB wait; whoever moves keeps the total or the newest place
// and sends it when the channel has drained. Other input is dropped while more than 32 KiB wait, which is
// thousands of events on a path that stands still; as soon as it moves again everything is released, also
// when no event follows, so no key sticks.
import { clientNow, type InputSeq, type Micros } from '../units.ts';
import { encodeInput, type InputEvent } from './encode.ts';

/** A data channel, or its like on another transport. */
export type Pipe = Pick<RTCDataChannel, 'readyState' | 'bufferedAmount' | 'bufferedAmountLowThreshold' | 'onbufferedamountlow'> & {
  send(bytes: Uint8Array<ArrayBuffer>): void;
};

/** What whoever captures input has to know of the channels. */
export interface SenderEvents {
  /** Everything was released, because events were dropped: nothing counts as held now. */
  readonly onReleased: () => void;
  /** Motion that was refused can be sent now. */
  readonly onMotionReady: () => void;
}

const MOTION_LIMIT = 2 * 1024;
const INPUT_LIMIT = 32 * 1024;
/** Sent events kept for benches. */
const KEPT = 512;

/** An event that was sent. */
export interface SentInput {
  readonly seq: InputSeq;
  readonly kind: InputEvent['kind'];
  readonly atUs: Micros;
}

export class InputSender {
  private input: Pipe | undefined;
  private motion: Pipe | undefined;
  private seq = 0;
  private releaseFirst = false;
  private readonly sent: SentInput[] = [];
  /** Who captures the input; nobody before and after. */
  events: SenderEvents | undefined;

  constructor(private readonly now: () => Micros = clientNow) {}

  /** Number of the newest event that was sent; 0 before the first. */
  get newest(): number {
    return this.seq;
  }

  /** Uses these channels from now on. Numbers go on: they belong to the session, not to a connection. */
  attach(input: Pipe, motion: Pipe): void {
    this.detach();
    this.input = input;
    this.motion = motion;
    this.releaseFirst = false;
    input.bufferedAmountLowThreshold = INPUT_LIMIT / 2;
    input.onbufferedamountlow = () => { this.releaseDropped(input); };
    motion.bufferedAmountLowThreshold = MOTION_LIMIT / 2;
    motion.onbufferedamountlow = () => { this.events?.onMotionReady(); };
    // What moved while there was no connection.
    this.events?.onMotionReady();
  }

  detach(): void {
    for (const pipe of [this.input, this.motion]) if (pipe !== undefined) pipe.onbufferedamountlow = null;
    this.input = undefined;
    this.motion = undefined;
  }

  /** Sends an event that must arrive. Says whether it was sent. */
  send(event: InputEvent): boolean {
    const pipe = this.input;
    if (pipe?.readyState !== 'open') return false;
    if (pipe.bufferedAmount > INPUT_LIMIT) {
      this.releaseFirst = true;
      return false;
    }
    this.releaseDropped(pipe);
    return this.put(pipe, event);
  }

  /** Sends motion that a later message would heal. Says whether it was sent. */
  sendMotion(event: Extract<InputEvent, { kind: 'absolute' | 'relative' | 'gamepad' | 'pen' | 'pad-motion' }>): boolean {
    const pipe = this.motion;
    if (pipe?.readyState !== 'open' || pipe.bufferedAmount > MOTION_LIMIT) return false;
    return this.put(pipe, event);
  }

  /** What was sent since the last call, oldest first. */
  take(): readonly SentInput[] {
    return this.sent.splice(0);
  }

  /** Releases everything when events were dropped: a release may have been among them. */
  private releaseDropped(pipe: Pipe): void {
    if (!this.releaseFirst || !this.put(pipe, { kind: 'release-all' })) return;
    this.releaseFirst = false;
    this.events?.onReleased();
  }

  private put(pipe: Pipe, event: InputEvent): boolean {
    const seq = ((this.seq + 1) >>> 0) as InputSeq;
    const atUs = this.now();
    try {
      pipe.send(encodeInput(seq, event));
    } catch {
      // The channel closed or its buffer is full: the same as a channel that is not there.
      return false;
    }
    this.seq = seq;
    if (this.sent.length === KEPT) this.sent.shift();
    this.sent.push({ seq, kind: event.kind, atUs });
    return true;
  }
}
