// Text from input methods and on-screen keyboards, taken from a text field that nobody sees. It is used
// only while the user asks to type: with an input method switched on, the keys of a game would otherwise
// start compositions.
import { MAX_TEXT_BYTES } from './encode.ts';
import { hidUsage } from './hid.ts';
import type { InputSender } from './sender.ts';

/** Text without control characters, in pieces of at most 64 bytes of UTF-8, no character split. */
export function textPieces(text: string): readonly string[] {
  const pieces: string[] = [];
  let piece = '';
  let length = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    const lone = code >= 0xd800 && code <= 0xdfff;
    if (code < 0x20 || (code >= 0x7f && code < 0xa0) || lone) continue;
    const size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x1_0000 ? 3 : 4;
    if (length + size > MAX_TEXT_BYTES) {
      pieces.push(piece);
      piece = '';
      length = 0;
    }
    piece += character;
    length += size;
  }
  if (piece !== '') pieces.push(piece);
  return pieces;
}

/** Edits that an on-screen keyboard reports without a key. */
const EDITS: Readonly<Record<string, string>> = {
  deleteContentBackward: 'Backspace',
  deleteContentForward: 'Delete',
  insertLineBreak: 'Enter',
  insertParagraph: 'Enter',
};

export class TextInput {
  readonly element: HTMLTextAreaElement;
  private readonly abort = new AbortController();

  constructor(private readonly sender: InputSender, onDone: () => void) {
    const field = document.createElement('textarea');
    field.className = 'text-field';
    field.setAttribute('aria-label', 'Text for the session');
    field.autocapitalize = 'off';
    field.autocomplete = 'off';
    field.spellcheck = false;
    field.tabIndex = -1;
    this.element = field;
    const { signal } = this.abort;
    field.addEventListener('beforeinput', (event) => { this.before(event); }, { signal });
    field.addEventListener('compositionend', (event) => {
      this.type(event.data);
      field.value = '';
    }, { signal });
    field.addEventListener('input', (event) => {
      if (!(event as InputEvent).isComposing) field.value = '';
    }, { signal });
    field.addEventListener('keydown', (event) => {
      if (event.code === 'Escape' && !event.isComposing) onDone();
      event.stopPropagation();
    }, { signal });
    field.addEventListener('blur', onDone, { signal });
  }

  close(): void {
    this.abort.abort();
    this.element.remove();
  }

  private before(event: InputEvent): void {
    if (event.isComposing || event.inputType.startsWith('insertComposition')) return;
    const key = EDITS[event.inputType];
    event.preventDefault();
    if (key !== undefined) this.tap(key);
    else this.type(event.data ?? event.dataTransfer?.getData('text/plain') ?? '');
  }

  private type(text: string): void {
    for (const piece of textPieces(text)) this.sender.send({ kind: 'text', text: piece });
  }

  private tap(key: string): void {
    const code = hidUsage(key);
    if (code === undefined) return;
    this.sender.send({ kind: 'key', code, pressed: true });
    this.sender.send({ kind: 'key', code, pressed: false });
  }
}
