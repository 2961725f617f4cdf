// Mouse and pen: absolute places on the picture, or raw motion while the pointer is locked.
import type { PointerButton } from './encode.ts';
import type { PointerMotion } from './motion.ts';
import type { InputSender } from './sender.ts';
import { WheelScale } from './wheel.ts';

export interface PointerOptions {
  /** A place on the page as 0 to 65535 across and down the picture. */
  readonly place: (x: number, y: number) => { readonly x: number; readonly y: number };
  /** Gives the keyboard to what is played. */
  readonly takeFocus: () => void;
  /** A pointer of this type is a pen's, which is dealt with elsewhere. */
  readonly isPen: (pointerType: string) => boolean;
  /** The lock came or went. */
  readonly onLock: (locked: boolean) => void;
}

export class Pointer {
  private free = false;
  private readonly abort = new AbortController();
  private readonly wheel = new WheelScale();
  private readonly held = new Set<PointerButton>();
  private wasLocked = false;

  constructor(
    private readonly surface: HTMLElement,
    private readonly sender: InputSender,
    private readonly motion: PointerMotion,
    private readonly options: PointerOptions,
  ) {
    const { signal } = this.abort;
    // Raw updates come as the mouse reports; moves wait for the next animation frame.
    const moved = 'onpointerrawupdate' in surface ? 'pointerrawupdate' : 'pointermove';
    surface.addEventListener(moved, (event) => { this.moved(event as PointerEvent); }, { signal });
    surface.addEventListener('pointerdown', (event) => { this.follow(event); }, { signal });
    surface.addEventListener('mousedown', (event) => { this.button(event, true); }, { signal });
    window.addEventListener('mouseup', (event) => { this.button(event, false); }, { signal });
    surface.addEventListener('wheel', (event) => { this.turned(event); }, { signal, passive: false });
    for (const name of ['contextmenu', 'auxclick', 'dragstart'] as const) {
      surface.addEventListener(name, (event) => { event.preventDefault(); }, { signal });
    }
    document.addEventListener('pointerlockchange', () => { this.lockChanged(); }, { signal });
  }

  /** What is played is pointed at: a press does not lock the pointer, only who asks for that does. */
  get isFree(): boolean {
    return this.free;
  }

  set isFree(free: boolean) {
    if (free === this.free) return;
    this.free = free;
    // By a press from before it was known.
    if (free) this.unlock();
  }

  get isLocked(): boolean {
    return document.pointerLockElement === this.surface;
  }

  /** Locks the pointer, with raw motion where it can be had. Says whether it worked. */
  async lock(): Promise<boolean> {
    if (!('requestPointerLock' in this.surface)) return false;
    try {
      await this.surface.requestPointerLock({ unadjustedMovement: true });
      return true;
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== 'NotSupportedError') return false;
    }
    try {
      await this.surface.requestPointerLock();
      return true;
    } catch {
      // Refused for about a second after the user left a lock; another click works.
      return false;
    }
  }

  unlock(): void {
    if (this.isLocked) document.exitPointerLock();
  }

  /** Forgets what is held: everything was released by other means. */
  forget(): void {
    this.held.clear();
  }

  close(): void {
    this.abort.abort();
    this.unlock();
  }

  private isOther({ pointerType }: PointerEvent): boolean {
    return pointerType === 'touch' || this.options.isPen(pointerType);
  }

  /** What is dragged beyond the picture goes on at its edge. */
  private follow(event: PointerEvent): void {
    if (this.free && !this.isLocked && !this.isOther(event)) this.surface.setPointerCapture(event.pointerId);
  }

  private moved(event: PointerEvent): void {
    if (this.isOther(event)) return;
    if (this.isLocked) {
      this.motion.moveBy(event.movementX, event.movementY);
    } else {
      const place = this.options.place(event.clientX, event.clientY);
      this.motion.moveTo(place.x, place.y);
    }
  }

  private button(event: MouseEvent, pressed: boolean): void {
    const button = event.button as PointerButton;
    if (event.button < 0 || event.button > 4) return;
    if (pressed) {
      // Also keeps the page from scrolling by the middle button and from selecting.
      event.preventDefault();
      this.options.takeFocus();
    } else if (!this.held.delete(button)) {
      return;
    } else {
      event.preventDefault();
    }
    if (this.isLocked) this.motion.settle();
    else this.motion.settle(this.options.place(event.clientX, event.clientY));
    if (this.sender.send({ kind: 'button', button, pressed }) && pressed) this.held.add(button);
    if (pressed && !this.free && !this.isLocked) {
      // It may have become known meanwhile that what is played is pointed at.
      this.lock().then((locked) => { if (locked && this.free) this.unlock(); }).catch(() => undefined);
    }
  }

  private turned(event: WheelEvent): void {
    event.preventDefault();
    const units = this.wheel.take(event);
    if (units !== undefined) this.sender.send({ kind: 'wheel', ...units });
  }

  private lockChanged(): void {
    const locked = this.isLocked;
    if (locked === this.wasLocked) return;
    this.wasLocked = locked;
    this.options.onLock(locked);
  }
}
