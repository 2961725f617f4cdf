// What a key press means while the user types text: characters are what the browser makes of them, with its layout, dead keys
// and input methods; everything else is a key. Pure.

type Press = Pick<KeyboardEvent, 'key' | 'code' | 'keyCode' | 'isComposing' | 'ctrlKey' | 'altKey' | 'metaKey' | 'getModifierState'>;

export type Meaning =
  /** The browser makes text of it: now, or with the presses that follow. */
  | { readonly is: 'text' }
  /** It belongs to an input method, or only changes what the browser makes of other keys. */
  | { readonly is: 'nothing' }
  /** The key at this place, a `KeyboardEvent.code`. */
  | { readonly is: 'key'; readonly place: string };

/** `keyCode` of what an input method or an on-screen keyboard deals with (UI Events, 6.3.1). */
const PROCESSED = 229;
/** Keys whose effect is in the text already. */
const LOCAL = new Set(['AltGraph', 'CapsLock', 'NumLock', 'Fn', 'FnLock', 'Hyper', 'Super', 'Symbol', 'SymbolLock', 'ModeChange']);
/** What an input method is switched or worked with. */
const OF_METHODS = new Set(['Process', 'Unidentified', 'Compose', 'Convert', 'NonConvert', 'KanaMode', 'HangulMode', 'HanjaMode', 'JunjaMode', 'Hankaku', 'Zenkaku', 'ZenkakuHankaku', 'Hiragana', 'Katakana', 'HiraganaKatakana', 'Romaji', 'Alphanumeric', 'Eisu']);

/** Keys that make no text have names of letters and digits (UI Events KeyboardEvent key Values); text may be several characters. */
const NAMED = /^[A-Z][A-Za-z0-9]+$/;

/** Where the keyboard of a session, which is American, has a character that needs no Shift. */
const PLACES: ReadonlyMap<string, string> = new Map([
  ...Array.from('abcdefghijklmnopqrstuvwxyz', (letter) => [letter, `Key${letter.toUpperCase()}`] as const),
  ...Array.from('0123456789', (digit) => [digit, `Digit${digit}`] as const),
  ['-', 'Minus'], ['=', 'Equal'], ['[', 'BracketLeft'], [']', 'BracketRight'], ['\\', 'Backslash'], [';', 'Semicolon'],
  ["'", 'Quote'], ['`', 'Backquote'], [',', 'Comma'], ['.', 'Period'], ['/', 'Slash'], [' ', 'Space'],
]);

/** What a press means; Option makes characters where `isApple`. */
export function meaningOf(event: Press, isApple: boolean): Meaning {
  const { key, code } = event;
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- on Android nothing else says it
  if (event.isComposing || event.keyCode === PROCESSED || OF_METHODS.has(key)) return { is: 'nothing' };
  if (LOCAL.has(key)) return { is: 'nothing' };
  if (key !== 'Dead' && NAMED.test(key)) return { is: 'key', place: code };
  // AltGr, which Windows reports as Ctrl and Alt.
  if (event.getModifierState('AltGraph')) return { is: 'text' };
  if (event.ctrlKey || event.metaKey || (event.altKey && !isApple)) {
    // What is on the key counts, not where it lies: Ctrl+Z undoes on every keyboard.
    return { is: 'key', place: PLACES.get(key.toLowerCase()) ?? code };
  }
  return { is: 'text' };
}
