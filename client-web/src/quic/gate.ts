// Which frames the decoder gets, and in which order. Streams of frames overtake one another, and some are
// given up on the way; a decoder takes frames in the order in which they were coded, each with what it needs.
//
// A frame whose reference is still on its way waits for it. One whose reference was passed over or lost will
// never be decoded, and neither will what refers to it. A frame that can be decoded does not wait for older
// ones: the encoder, which knows what was lost, went back for it to a picture that is here.

/** What the gate has to know of a frame. */
export interface Gated {
  readonly key: boolean;
  readonly id: number;
  readonly refersTo: number | undefined;
}

/** What becomes of frames now: both in the order of their numbers. */
export interface Verdict<Frame> {
  readonly decode: readonly Frame[];
  readonly drop: readonly Frame[];
}

/** Frames that wait at most: half a second at 60 a second. With more, all wait in vain. */
export const MOST_WAITING = 32;
/** Frames that are remembered as decoded; what refers to older ones the server has heard to be decoded. */
const REMEMBERED = 1024;

export class ReferenceGate<Frame extends Gated> {
  /** By number, in order. */
  private waiting: Frame[] = [];
  /** In order; a set, since it is asked of every frame. */
  private readonly decoded = new Set<number>();
  private newest = -1;
  /** Numbers above `newest` that will never be decoded. */
  private readonly lost = new Set<number>();
  private needsKey = true;

  /** Nothing can be decoded until a keyframe comes. */
  get awaitsKey(): boolean {
    return this.needsKey;
  }

  /** Frames that wait for a reference. */
  get held(): number {
    return this.waiting.length;
  }

  /** A whole frame came. */
  push(frame: Frame): Verdict<Frame> {
    const place = this.waiting.findIndex(({ id }) => id >= frame.id);
    if (frame.id <= this.newest || this.waiting[place]?.id === frame.id) return { decode: [], drop: [frame] };
    this.waiting.splice(place < 0 ? this.waiting.length : place, 0, frame);
    return this.settle();
  }

  /** This frame will not come. */
  lose(id: number): Verdict<Frame> {
    // Bounded: what is forgotten here is only waited for longer.
    if (id > this.newest && this.lost.size < REMEMBERED) this.lost.add(id);
    return this.settle();
  }

  /** What was decoded is worth nothing any more: the decoder begins anew with a keyframe. */
  restart(): Verdict<Frame> {
    this.needsKey = true;
    this.decoded.clear();
    return this.settle();
  }

  private settle(): Verdict<Frame> {
    const [decode, drop]: [Frame[], Frame[]] = [[], []];
    for (let next = this.ready(); next >= 0; next = this.ready()) {
      // What is older than a frame that is decoded comes too late.
      const passed = this.waiting.splice(0, next + 1);
      const frame = passed.pop();
      if (frame === undefined) break;
      drop.push(...passed);
      decode.push(frame);
      this.pass(frame);
    }
    const tooMany = this.waiting.length > MOST_WAITING;
    if (tooMany) this.needsKey = true;
    // In order, so that what refers to a frame that goes here goes with it.
    this.waiting = this.waiting.filter((frame) => {
      if (!tooMany && this.mayCome(frame)) return true;
      drop.push(frame);
      this.lost.add(frame.id);
      return false;
    });
    return { decode, drop };
  }

  /** Place of the first frame that can be decoded. */
  private ready(): number {
    return this.waiting.findIndex((frame) => this.isReady(frame));
  }

  private isReady({ key, refersTo }: Frame): boolean {
    if (key) return true;
    if (this.needsKey) return false;
    return refersTo === undefined || this.decoded.has(refersTo) || this.isForgotten(refersTo);
  }

  /** It was decoded so long ago that it is not remembered. */
  private isForgotten(id: number): boolean {
    const [oldest] = this.decoded;
    return this.decoded.size === REMEMBERED && oldest !== undefined && id < oldest;
  }

  /** Whether a frame that cannot be decoded now may be so later. */
  private mayCome({ refersTo }: Frame): boolean {
    return refersTo !== undefined && refersTo > this.newest && !this.lost.has(refersTo);
  }

  private pass(frame: Frame): void {
    if (frame.key) {
      this.needsKey = false;
      this.decoded.clear();
    }
    this.newest = frame.id;
    if (this.decoded.size === REMEMBERED) {
      const [oldest] = this.decoded;
      if (oldest !== undefined) this.decoded.delete(oldest);
    }
    this.decoded.add(frame.id);
    for (const id of this.lost) if (id <= frame.id) this.lost.delete(id);
  }
}
