// Text as the user types it, taken from a text field that shows itself only while an input method composes: so every layout, dead
// key, input method and on-screen keyboard does what it does everywhere. Games are played by places instead (keyboard.ts):
// with an input method switched on, their keys would start compositions.
import { isApple } from '../platform.ts';
import { MAX_TEXT_BYTES } from './encode.ts';
import type { Keyboard } from './keyboard.ts';
import type { InputSender } from './sender.ts';
import { meaningOf } from './typing.ts';

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
/** How input methods edit the field; what comes of it is told at the composition's end. */
const COMPOSING = new Set(['insertCompositionText', 'insertFromComposition', 'deleteCompositionText', 'deleteByComposition']);
/** In the field while nobody composes: on-screen keyboards delete nothing where nothing is. */
const FILLER = ' ';
const LINES = /(\r\n|[\r\n\t])/;

export class TextInput {
  readonly element: HTMLTextAreaElement;
  private readonly abort = new AbortController();

  constructor(
    private readonly sender: InputSender,
    private readonly keyboard: Keyboard,
    /** The field lost the focus, to this where that is known. */
    onBlur: (to: EventTarget | null) => void,
  ) {
    const field = document.createElement('textarea');
    field.className = 'text-field';
    field.setAttribute('aria-label', 'Text for the session');
    field.autocapitalize = 'off';
    field.autocomplete = 'off';
    field.setAttribute('autocorrect', 'off');
    field.spellcheck = false;
    field.tabIndex = -1;
    this.element = field;
    this.empty();
    const { signal } = this.abort;
    field.addEventListener('beforeinput', (event) => { this.before(event); }, { signal });
    field.addEventListener('compositionstart', () => { field.classList.add('composing'); }, { signal });
    field.addEventListener('compositionend', (event) => {
      this.type(event.data);
      this.empty();
    }, { signal });
    field.addEventListener('input', (event) => {
      if (!(event as InputEvent).isComposing) this.empty();
    }, { signal });
    field.addEventListener('keydown', (event) => { this.pressed(event); }, { signal });
    field.addEventListener('blur', ({ relatedTarget }) => { onBlur(relatedTarget); }, { signal });
  }

  close(): void {
    this.abort.abort();
    this.element.remove();
  }

  private pressed(event: KeyboardEvent): void {
    if (this.keyboard.take(event)) return;
    event.stopPropagation();
    const meaning = meaningOf(event, isApple());
    if (meaning.is === 'key') this.keyboard.down(event, meaning.place);
  }

  private before(event: InputEvent): void {
    if (event.isComposing || COMPOSING.has(event.inputType)) return;
    const key = EDITS[event.inputType];
    event.preventDefault();
    if (key !== undefined) this.keyboard.tap(key);
    else this.type(event.data ?? event.dataTransfer?.getData('text/plain') ?? '');
  }

  /** Text, in which ends of lines and tabs are keys. */
  private type(text: string): void {
    for (const part of text.split(LINES)) {
      if (LINES.test(part)) this.keyboard.tap(part === '\t' ? 'Tab' : 'Enter');
      else for (const piece of textPieces(part)) this.sender.send({ kind: 'text', text: piece });
    }
  }

  private empty(): void {
    this.element.classList.remove('composing');
    this.element.value = FILLER;
    this.element.setSelectionRange(FILLER.length, FILLER.length);
  }
}
