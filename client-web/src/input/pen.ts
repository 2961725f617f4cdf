// A pen with its pressure and tilt, where what is played makes use of pens; elsewhere it is a mouse (pointer.ts). Every message is
// all of the pen. One that changes what it does is reliable; others go as motion does, and the next makes up for a lost one.
import { PEN, type PenPlace } from './encode.ts';
import type { InputSender } from './sender.ts';

export interface PenOptions {
  readonly place: (x: number, y: number) => { readonly x: number; readonly y: number };
  /** Whether pens are taken as pens. */
  readonly taken: () => boolean;
}

type PenLike = Pick<PointerEvent, 'buttons' | 'pressure' | 'tiltX' | 'tiltY' | 'twist' | 'clientX' | 'clientY'>;

/** A pen as it travels. `buttons` has the tip in its lowest bit, then the button, and the eraser in its sixth (Pointer Events). */
export function penOf(event: PenLike, place: PenOptions['place']): PenPlace {
  const tip = (event.buttons & 1) !== 0 || (event.buttons & 32) !== 0;
  const state = PEN.near | (tip ? PEN.tip : 0) | ((event.buttons & 2) !== 0 ? PEN.barrel : 0) | ((event.buttons & 32) !== 0 ? PEN.eraser : 0);
  const within = (value: number, least: number, most: number): number => Math.round(Math.min(Math.max(Number.isFinite(value) ? value : 0, least), most));
  return {
    ...place(event.clientX, event.clientY),
    pressure: tip ? within(event.pressure * 65_535, 0, 65_535) : 0,
    tiltX: within(event.tiltX, -90, 90),
    tiltY: within(event.tiltY, -90, 90),
    twist: within(event.twist, 0, 359),
    state,
  };
}

const AWAY: PenPlace = { x: 0, y: 0, pressure: 0, tiltX: 0, tiltY: 0, twist: 0, state: 0 };

export class PenInput {
  private readonly abort = new AbortController();
  private told = AWAY;

  constructor(surface: HTMLElement, private readonly sender: InputSender, private readonly options: PenOptions) {
    const listen = (name: string, act: (event: PointerEvent) => void): void => {
      surface.addEventListener(name, (event) => {
        if ((event as PointerEvent).pointerType === 'pen' && this.options.taken()) act(event as PointerEvent);
      }, { signal: this.abort.signal });
    };
    for (const name of ['onpointerrawupdate' in surface ? 'pointerrawupdate' : 'pointermove', 'pointerup']) listen(name, (event) => { this.take(event); });
    listen('pointerdown', (event) => {
      // Or the browser would send the same as a mouse's events.
      event.preventDefault();
      surface.focus({ preventScroll: true });
      surface.setPointerCapture(event.pointerId);
      this.take(event);
    });
    for (const name of ['pointercancel', 'pointerleave']) listen(name, () => { this.tell(AWAY); });
  }

  /** It touches. What comes as a finger meanwhile is the pen. */
  get isDown(): boolean {
    return (this.told.state & PEN.tip) !== 0;
  }

  /** Whether a pointer is the pen's. */
  takes(pointerType: string): boolean {
    return pointerType === 'pen' && this.options.taken();
  }

  /** Forgets what it does: everything was released by other means. */
  forget(): void {
    this.told = AWAY;
  }

  close(): void {
    this.abort.abort();
  }

  private take(event: PointerEvent): void {
    this.tell(penOf(event, this.options.place));
  }

  private tell(pen: PenPlace): void {
    const event = { kind: 'pen', ...pen } as const;
    // Where it is when it comes down, and when it goes, must be right.
    const sent = pen.state === this.told.state ? this.sender.sendMotion(event) : this.sender.send(event);
    if (sent) this.told = pen;
  }
}
