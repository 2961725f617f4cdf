// The keyboard, by physical places.
import { hidUsage } from './hid.ts';
import type { KeyMap } from './key-map.ts';
import type { InputSender } from './sender.ts';

/** What the page itself does on Ctrl+Alt+Shift+letter; no game uses three modifiers at once. */
export type Shortcut = 'hud' | 'fullscreen' | 'pointer' | 'menu' | 'type' | 'sound' | 'leave';

const SHORTCUTS: Readonly<Record<string, Shortcut>> = {
  KeyS: 'hud',
  KeyF: 'fullscreen',
  KeyL: 'pointer',
  KeyM: 'menu',
  KeyT: 'type',
  KeyA: 'sound',
  KeyQ: 'leave',
};

type Modified = Pick<KeyboardEvent, 'code' | 'ctrlKey' | 'altKey' | 'shiftKey' | 'getModifierState'>;

/** The shortcut that a key press is, if it is one. */
export function shortcutOf(event: Modified): Shortcut | undefined {
  // Windows reports AltGr as Ctrl+Alt; with Shift it types capitals in some layouts.
  if (event.getModifierState('AltGraph')) return undefined;
  return event.ctrlKey && event.altKey && event.shiftKey ? SHORTCUTS[event.code] : undefined;
}

export type KeyLike = Modified & Pick<KeyboardEvent, 'isComposing' | 'preventDefault' | 'stopPropagation'> & Partial<Pick<KeyboardEvent, 'metaKey' | 'repeat'>>;

/** The modifiers of the key of this place where it asks to paste, as the game is to see them: there it is Ctrl on every system. */
export function pasteOf(place: string, { ctrlKey, altKey, shiftKey, metaKey = false }: Pick<KeyLike, 'ctrlKey' | 'altKey' | 'shiftKey' | 'metaKey'>): readonly string[] | undefined {
  if (altKey || ctrlKey && metaKey) return undefined;
  const shift = shiftKey ? ['ShiftLeft'] : [];
  if (place === 'KeyV' && (ctrlKey || metaKey)) return ['ControlLeft', ...shift];
  return place === 'Insert' && shiftKey && !ctrlKey && !metaKey ? shift : undefined;
}

/** The browser is to say what is pasted within this time; the key is struck then all the same. */
const PASTE_MS = 250;

/** Hangul and Hanja, or Kana and Eisu: Korean keyboards say that these go down, and never that they go up. */
const DOWN_ALONE = new Set(['Lang1', 'Lang2']);

export class Keyboard {
  /** What the server believes to be down: the place that was pressed, and the one that was sent for it. */
  private readonly held = new Map<string, number>();
  /** What places are others for what is played. */
  map: KeyMap = new Map();
  /** The key that asked to paste, until the browser says what. */
  private waiting: { readonly place: string; readonly modifiers: readonly string[]; readonly timer: ReturnType<typeof setTimeout> } | undefined;

  constructor(
    private readonly sender: InputSender,
    private readonly onShortcut: (shortcut: Shortcut) => void,
    /** Whether the browser is asked for what is pasted before the game sees the key. */
    private readonly pastes: () => boolean = () => false,
    /** Caps Lock goes down as it is switched on, and up as it is switched off: that is how macOS has it. */
    private readonly capsSwitches = false,
  ) {}

  /** A key went down; `place` is the key that it is, where that is another than it lies at. */
  down(event: KeyLike, place: string = this.map.get(event.code) ?? event.code): void {
    if (event.isComposing || this.take(event)) return;
    const code = hidUsage(place);
    if (code === undefined) return;
    const modifiers = this.pastes() ? pasteOf(place, event) : undefined;
    if (modifiers !== undefined) {
      if (event.repeat === true) event.preventDefault();
      else this.awaitPaste(place, modifiers);
      return;
    }
    event.preventDefault();
    if (DOWN_ALONE.has(event.code) || this.switches(event.code)) {
      if (event.repeat !== true) this.tap(place);
      return;
    }
    // Repeats are left out: whoever plays at the other end repeats by its own settings.
    if (this.held.has(event.code)) return;
    if (this.sender.send({ kind: 'key', code, pressed: true })) this.held.set(event.code, code);
  }

  /** Does what the page does on a shortcut; whether it was one. */
  take(event: KeyLike): boolean {
    const shortcut = shortcutOf(event);
    if (shortcut === undefined) return false;
    event.preventDefault();
    event.stopPropagation();
    this.onShortcut(shortcut);
    return true;
  }

  /** Strikes a key that nobody pressed. */
  tap(place: string): void {
    const code = hidUsage(place);
    if (code === undefined) return;
    this.sender.send({ kind: 'key', code, pressed: true });
    this.sender.send({ kind: 'key', code, pressed: false });
  }

  /** A key went up; `isHere` where the picture has the focus. */
  up(event: Pick<KeyLike, 'code'>, isHere = true): void {
    if (isHere && this.switches(event.code)) this.tap(this.map.get(event.code) ?? event.code);
    this.release(event.code);
    if (event.code === 'MetaLeft' || event.code === 'MetaRight') {
      // macOS sends no keyup for keys let go while Command is down.
      for (const code of [...this.held.keys()]) this.release(code);
    }
  }

  /** Forgets what is held: everything was released by other means. A key that repeats is pressed anew. */
  forget(): void {
    this.stopWaiting();
    this.held.clear();
  }

  /**
   * What is pasted is about to be there: strikes the key that asked for it once that is so. Where none did, nothing is
   * struck.
   */
  async pasted(brought: Promise<void>): Promise<void> {
    const { waiting } = this;
    this.stopWaiting();
    await brought;
    if (waiting !== undefined) this.strike(waiting.place, waiting.modifiers);
  }

  private awaitPaste(place: string, modifiers: readonly string[]): void {
    this.stopWaiting();
    const timer = setTimeout(() => {
      this.stopWaiting();
      this.strike(place, modifiers);
    }, PASTE_MS);
    this.waiting = { place, modifiers, timer };
  }

  private stopWaiting(): void {
    clearTimeout(this.waiting?.timer);
    this.waiting = undefined;
  }

  /** Presses and releases a key with these modifiers, whatever of them is held by now. */
  private strike(place: string, modifiers: readonly string[]): void {
    for (const meta of ['MetaLeft', 'MetaRight']) this.release(meta);
    const held = new Set(this.held.values());
    const isHeld = (name: string): boolean => held.has(hidUsage(name) ?? 0);
    const missing = modifiers.filter((name) => !isHeld(name) && !isHeld(name.replace('Left', 'Right')));
    const codes = [...missing, place].map((name) => hidUsage(name)).filter((code) => code !== undefined);
    for (const code of codes) this.sender.send({ kind: 'key', code, pressed: true });
    for (const code of codes.toReversed()) this.sender.send({ kind: 'key', code, pressed: false });
  }

  private switches(code: string): boolean {
    return this.capsSwitches && code === 'CapsLock';
  }

  private release(key: string): void {
    const code = this.held.get(key);
    if (code === undefined) return;
    this.held.delete(key);
    // Two keys may be one to the server, as Ctrl with a letter of another layout is.
    if (![...this.held.values()].includes(code)) this.sender.send({ kind: 'key', code, pressed: false });
  }
}
