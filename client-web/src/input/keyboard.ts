// The keyboard, by physical places.
import { hidUsage } from './hid.ts';
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

type KeyLike = Modified & Pick<KeyboardEvent, 'isComposing' | 'preventDefault' | 'stopPropagation'>;

export class Keyboard {
  /** Codes of keys that the server believes to be down. */
  private readonly held = new Set<string>();

  constructor(
    private readonly sender: InputSender,
    private readonly onShortcut: (shortcut: Shortcut) => void,
  ) {}

  down(event: KeyLike): void {
    if (event.isComposing) return;
    const shortcut = shortcutOf(event);
    if (shortcut !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      this.onShortcut(shortcut);
      return;
    }
    const code = hidUsage(event.code);
    if (code === undefined) return;
    event.preventDefault();
    // Repeats are left out: whoever plays at the other end repeats by its own settings.
    if (this.held.has(event.code)) return;
    if (this.sender.send({ kind: 'key', code, pressed: true })) this.held.add(event.code);
  }

  up(event: Pick<KeyLike, 'code'>): void {
    this.release(event.code);
    if (event.code === 'MetaLeft' || event.code === 'MetaRight') {
      // macOS sends no keyup for keys let go while Command is down.
      for (const code of [...this.held]) this.release(code);
    }
  }

  /** Forgets what is held: everything was released by other means. A key that repeats is pressed anew. */
  forget(): void {
    this.held.clear();
  }

  private release(key: string): void {
    if (!this.held.delete(key)) return;
    const code = hidUsage(key);
    if (code !== undefined) this.sender.send({ kind: 'key', code, pressed: false });
  }
}
