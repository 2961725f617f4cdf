// Touch in two ways: fingers as they are, or look-and-move for what is played with keyboard and mouse: the
// left part of the picture is a stick that presses W, A, S and D, the right part looks around, a tap is a
// click.
import type { TouchPhase } from './encode.ts';
import { hidUsage } from './hid.ts';
import type { PointerMotion } from './motion.ts';
import type { InputSender } from './sender.ts';

/** Share of the width that is the stick. */
const STICK_SHARE = 0.42;
/** Pixels from the stick's middle before it moves anything. */
const DEAD_ZONE = 14;
/** Pixels of mouse motion for a pixel of finger motion: fingers have less room than mice. */
const LOOK_GAIN = 2.5;
/** A finger that was down shorter and moved less than this tapped. */
const TAP_MS = 250;
const TAP_PIXELS = 12;
/** A tap's button stays down this long, so that it is seen by what looks once a frame. */
const CLICK_MS = 50;

export type TouchMode = 'look-and-move' | 'direct';

export interface StickView {
  /** Where the stick's middle is on the page. */
  readonly x: number;
  readonly y: number;
  /** Where the finger is, from there. */
  readonly dx: number;
  readonly dy: number;
}

export interface TouchOptions {
  readonly place: (x: number, y: number) => { readonly x: number; readonly y: number };
  readonly width: () => number;
  /** What comes as a finger is something else. */
  readonly ignores: () => boolean;
  /** Shows the stick, or hides it. */
  readonly onStick: (stick: StickView | undefined) => void;
}

/** Keys for a stick's direction: eight ways, each a sector of 45 degrees. */
export function stickKeys(dx: number, dy: number): readonly string[] {
  if (Math.hypot(dx, dy) < DEAD_ZONE) return [];
  // tan(22.5°): a direction counts when it is not more than three eighths of a turn away.
  const slope = Math.SQRT2 - 1;
  const keys: string[] = [];
  if (-dy > Math.abs(dx) * slope) keys.push('KeyW');
  if (dy > Math.abs(dx) * slope) keys.push('KeyS');
  if (-dx > Math.abs(dy) * slope) keys.push('KeyA');
  if (dx > Math.abs(dy) * slope) keys.push('KeyD');
  return keys;
}

interface Finger {
  readonly startX: number;
  readonly startY: number;
  readonly at: number;
  readonly role: 'stick' | 'look';
  x: number;
  y: number;
  moved: boolean;
}

export class TouchInput {
  mode: TouchMode = 'look-and-move';
  private readonly abort = new AbortController();
  private readonly fingers = new Map<number, Finger>();
  /** Small numbers for the browser's identifiers, which may be any. */
  private readonly slots = new Map<number, number>();
  private held = new Set<string>();

  constructor(
    surface: HTMLElement,
    private readonly sender: InputSender,
    private readonly motion: PointerMotion,
    private readonly options: TouchOptions,
  ) {
    const listeners: readonly (readonly [keyof HTMLElementEventMap, TouchPhase])[] = [
      ['touchstart', 'start'],
      ['touchmove', 'move'],
      ['touchend', 'end'],
      ['touchcancel', 'cancel'],
    ];
    for (const [name, phase] of listeners) {
      const listen = (event: Event): void => {
        // Or the browser would scroll, zoom, and send the same as mouse events.
        event.preventDefault();
        const { touches, changedTouches } = event as TouchEvent;
        // Of the first finger: leaving the field for text lets go of what is held, other fingers too.
        if (phase === 'start' && touches.length === changedTouches.length) surface.focus({ preventScroll: true });
        if (phase === 'start' && this.options.ignores()) return;
        for (const touch of changedTouches) this.take(touch, phase, event.timeStamp);
      };
      surface.addEventListener(name, listen, { signal: this.abort.signal, passive: false });
    }
  }

  /** Forgets what is held: everything was released by other means. */
  forget(): void {
    this.fingers.clear();
    this.slots.clear();
    this.held.clear();
    this.options.onStick(undefined);
  }

  close(): void {
    this.abort.abort();
    this.options.onStick(undefined);
  }

  private take(touch: Touch, phase: TouchPhase, at: number): void {
    if (this.mode === 'direct') {
      this.direct(touch, phase);
      return;
    }
    const { clientX: x, clientY: y, identifier } = touch;
    if (phase === 'start') {
      const stickTaken = [...this.fingers.values()].some((finger) => finger.role === 'stick');
      const role = x < this.options.width() * STICK_SHARE && !stickTaken ? 'stick' : 'look';
      this.fingers.set(identifier, { startX: x, startY: y, at, role, x, y, moved: false });
      return;
    }
    const finger = this.fingers.get(identifier);
    if (finger === undefined) return;
    if (phase === 'move') this.moved(finger, x, y);
    else this.lifted(identifier, finger, phase, at);
  }

  private moved(finger: Finger, x: number, y: number): void {
    const [dx, dy] = [x - finger.x, y - finger.y];
    finger.x = x;
    finger.y = y;
    const [wholeX, wholeY] = [x - finger.startX, y - finger.startY];
    finger.moved ||= Math.hypot(wholeX, wholeY) > TAP_PIXELS;
    if (finger.role === 'look') {
      this.motion.moveBy(dx * LOOK_GAIN, dy * LOOK_GAIN);
      return;
    }
    this.hold(stickKeys(wholeX, wholeY));
    this.options.onStick({ x: finger.startX, y: finger.startY, dx: wholeX, dy: wholeY });
  }

  private lifted(identifier: number, finger: Finger, phase: TouchPhase, at: number): void {
    this.fingers.delete(identifier);
    if (finger.role === 'stick') {
      this.hold([]);
      this.options.onStick(undefined);
    }
    if (phase === 'end' && !finger.moved && at - finger.at < TAP_MS) this.click(finger.startX, finger.startY);
  }

  private click(x: number, y: number): void {
    this.motion.settle(this.options.place(x, y));
    if (!this.sender.send({ kind: 'button', button: 0, pressed: true })) return;
    setTimeout(() => {
      this.sender.send({ kind: 'button', button: 0, pressed: false });
    }, CLICK_MS);
  }

  /** Presses and releases keys so that exactly these are down. */
  private hold(keys: readonly string[]): void {
    const wanted = new Set(keys);
    for (const key of new Set([...this.held, ...wanted])) {
      const pressed = wanted.has(key);
      const code = hidUsage(key);
      if (code !== undefined && pressed !== this.held.has(key)) this.sender.send({ kind: 'key', code, pressed });
    }
    this.held = wanted;
  }

  private direct(touch: Touch, phase: TouchPhase): void {
    const finger = this.slot(touch.identifier);
    if (phase === 'end' || phase === 'cancel') this.slots.delete(touch.identifier);
    const place = this.options.place(touch.clientX, touch.clientY);
    const pressure = Math.round(Math.min(Math.max(touch.force, 0), 1) * 0xffff);
    this.sender.send({ kind: 'touch', finger, phase, ...place, pressure });
  }

  private slot(identifier: number): number {
    const known = this.slots.get(identifier);
    if (known !== undefined) return known;
    const taken = new Set(this.slots.values());
    let slot = 0;
    while (taken.has(slot) && slot < 0xff) slot += 1;
    this.slots.set(identifier, slot);
    return slot;
  }
}
