// All input of one picture: joins keyboard, text, pointer, wheel, touch and gamepads, and lets go of everything when the
// page can no longer know what is held.
import { isApple } from '../platform.ts';
import { type Box, normalise } from '../video/layout.ts';
import { Gamepads, type GamepadOptions } from './gamepad.ts';
import type { KeyMap } from './key-map.ts';
import { Keyboard, type Shortcut } from './keyboard.ts';
import { PointerMotion } from './motion.ts';
import { PenInput } from './pen.ts';
import { Pointer } from './pointer.ts';
import type { InputSender } from './sender.ts';
import { TextInput } from './text.ts';
import { TouchInput, type StickView, type TouchMode } from './touch.ts';

export interface CaptureOptions {
  /** Where the picture is on the page. */
  readonly box: () => Box;
  readonly onShortcut: (shortcut: Shortcut) => void;
  readonly onLock: (locked: boolean) => void;
  readonly onStick: (stick: StickView | undefined) => void;
  /** The field for text lost the focus, to this where that is known. */
  readonly onTextBlur: (to: EventTarget | null) => void;
  readonly gamepads: GamepadOptions;
  /** Whether what is played takes pens as what they are. */
  readonly takesPens: () => boolean;
  /** Everything was released: what others know to be held is not. */
  readonly onForget: () => void;
  /** What the user pastes is brought to the game before it sees the key. */
  readonly clipboard: { readonly pastes: boolean; paste(data: DataTransfer | null): Promise<void> };
}

export class InputCapture {
  readonly gamepads: Gamepads;
  /** Takes text while its field has the focus. */
  readonly text: TextInput;
  private readonly abort = new AbortController();
  private readonly motion: PointerMotion;
  private readonly keyboard: Keyboard;
  private readonly pointer: Pointer;
  private readonly pen: PenInput;
  private readonly touch: TouchInput;

  constructor(
    private readonly surface: HTMLElement,
    private readonly sender: InputSender,
    private readonly options: CaptureOptions,
  ) {
    const place = (x: number, y: number): { readonly x: number; readonly y: number } =>
      normalise(options.box(), x, y);
    this.motion = new PointerMotion(sender);
    this.keyboard = new Keyboard(sender, (shortcut) => {
      // The three modifiers were sent as they went down.
      this.releaseAll();
      options.onShortcut(shortcut);
    }, () => options.clipboard.pastes, isApple());
    this.text = new TextInput(sender, this.keyboard, (to) => {
      this.releaseAll();
      options.onTextBlur(to);
    });
    this.pen = new PenInput(surface, sender, { place, taken: options.takesPens });
    this.pointer = new Pointer(surface, sender, this.motion, {
      place,
      takeFocus: () => {
        // To leave the field for text lets go of what is held: of Shift, too, which is held for the click.
        const field = this.text.element;
        const isThere = document.activeElement === field && document.hasFocus();
        // A composition ends where somebody clicks, as it does everywhere.
        if (!isThere || field.classList.contains('composing')) surface.focus({ preventScroll: true });
      },
      isPen: (pointerType) => this.pen.takes(pointerType),
      onLock: (locked) => {
        if (!locked) this.releaseAll();
        options.onLock(locked);
      },
    });
    this.touch = new TouchInput(surface, sender, this.motion, {
      place,
      width: () => surface.clientWidth,
      ignores: () => this.pen.isDown,
      onStick: options.onStick,
    });
    this.gamepads = new Gamepads(sender, options.gamepads);
    sender.events = {
      onReleased: () => { this.forget(); },
      onMotionReady: () => { this.motion.resume(); },
    };
    const { signal } = this.abort;
    surface.addEventListener('keydown', (event) => { this.keyboard.down(event); }, { signal });
    window.addEventListener('keyup', (event) => { this.keyboard.up(event, event.target === surface); }, { signal });
    document.addEventListener('paste', (event) => {
      if (![surface, this.text.element].includes(document.activeElement as HTMLElement) || !options.clipboard.pastes) return;
      event.preventDefault();
      this.keyboard.pasted(options.clipboard.paste(event.clipboardData)).catch(() => undefined);
    }, { signal });
    surface.addEventListener('blur', () => { this.releaseAll(); }, { signal });
    window.addEventListener('blur', () => { this.releaseAll(); }, { signal });
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'hidden') this.releaseAll();
    }, { signal });
  }

  get isLocked(): boolean {
    return this.pointer.isLocked;
  }

  /** Whether a press leaves the pointer as it is, and does not lock it. */
  get pointerIsFree(): boolean {
    return this.pointer.isFree;
  }

  setPointerFree(free: boolean): void {
    this.pointer.isFree = free;
  }

  get keyMap(): KeyMap {
    return this.keyboard.map;
  }

  /** Keys are others for what is played from now on. */
  setKeyMap(map: KeyMap): void {
    this.releaseAll();
    this.keyboard.map = map;
  }

  get touchMode(): TouchMode {
    return this.touch.mode;
  }

  setTouchMode(mode: TouchMode): void {
    this.releaseAll();
    this.touch.mode = mode;
  }

  async lockPointer(): Promise<boolean> {
    this.surface.focus({ preventScroll: true });
    return await this.pointer.lock();
  }

  unlockPointer(): void {
    this.pointer.unlock();
  }

  /** Lets go of every key, button, finger and gamepad. */
  releaseAll(): void {
    this.forget();
    this.sender.send({ kind: 'release-all' });
  }

  close(): void {
    this.releaseAll();
    this.sender.events = undefined;
    this.abort.abort();
    this.text.close();
    this.pen.close();
    this.pointer.close();
    this.touch.close();
    this.motion.close();
    this.gamepads.close();
  }

  private forget(): void {
    this.keyboard.forget();
    this.pointer.forget();
    this.pen.forget();
    this.touch.forget();
    this.gamepads.forget();
    this.options.onForget();
  }
}
