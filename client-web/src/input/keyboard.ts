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

export type KeyLike = Modified & Pick<KeyboardEvent, 'isComposing' | 'preventDefault' | 'stopPropagation'>;

export class Keyboard {
  /** What the server believes to be down: the place that was pressed, and the one that was sent for it. */
  private readonly held = new Map<string, number>();
  /** What places are others for what is played. */
  map: KeyMap = new Map();

  constructor(
    private readonly sender: InputSender,
    private readonly onShortcut: (shortcut: Shortcut) => void,
  ) {}

  /** A key went down; `place` is the key that it is, where that is another than it lies at. */
  down(event: KeyLike, place: string = this.map.get(event.code) ?? event.code): void {
    if (event.isComposing || this.take(event)) return;
    const code = hidUsage(place);
    if (code === undefined) return;
    event.preventDefault();
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

  up(event: Pick<KeyLike, 'code'>): void {
    this.release(event.code);
    if (event.code === 'MetaLeft' || event.code === 'MetaRight') {
      // macOS sends no keyup for keys let go while Command is down.
      for (const code of [...this.held.keys()]) this.release(code);
    }
  }

  /** Forgets what is held: everything was released by other means. A key that repeats is pressed anew. */
  forget(): void {
    this.held.clear();
  }

  private release(key: string): void {
    const code = this.held.get(key);
    if (code === undefined) return;
    this.held.delete(key);
    // Two keys may be one to the server, as Ctrl with a letter of another layout is.
    if (![...this.held.values()].includes(code)) this.sender.send({ kind: 'key', code, pressed: false });
  }
}
