// `KeyboardEvent.code` (UI Events KeyboardEvent code Values) to usages of the keyboard page of the USB
// HID Usage Tables 1.5, §10. Both name places on the keyboard, so no layout is involved.

const usages = new Map<string, number>();

/** Codes with usages that follow one another. */
function run(first: number, codes: readonly string[]): void {
  codes.forEach((code, index) => usages.set(code, first + index));
}

const numbers = (prefix: string, from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `${prefix}${from + index}`);

run(0x04, 'A B C D E F G H I J K L M N O P Q R S T U V W X Y Z'.split(' ').map((letter) => `Key${letter}`));
run(0x1e, [...numbers('Digit', 1, 9), 'Digit0']);
run(0x28, ['Enter', 'Escape', 'Backspace', 'Tab', 'Space', 'Minus', 'Equal', 'BracketLeft', 'BracketRight', 'Backslash']);
run(0x33, ['Semicolon', 'Quote', 'Backquote', 'Comma', 'Period', 'Slash', 'CapsLock']);
run(0x3a, numbers('F', 1, 12));
run(0x46, ['PrintScreen', 'ScrollLock', 'Pause', 'Insert', 'Home', 'PageUp', 'Delete', 'End', 'PageDown']);
run(0x4f, ['ArrowRight', 'ArrowLeft', 'ArrowDown', 'ArrowUp']);
run(0x53, ['NumLock', 'NumpadDivide', 'NumpadMultiply', 'NumpadSubtract', 'NumpadAdd', 'NumpadEnter']);
run(0x59, [...numbers('Numpad', 1, 9), 'Numpad0', 'NumpadDecimal']);
run(0x64, ['IntlBackslash', 'ContextMenu', 'Power', 'NumpadEqual']);
run(0x68, numbers('F', 13, 24));
run(0x74, ['Open', 'Help']);
run(0x77, ['Select']);
run(0x79, ['Again', 'Undo', 'Cut', 'Copy', 'Paste', 'Find']);
run(0x7f, ['AudioVolumeMute', 'AudioVolumeUp', 'AudioVolumeDown']);
run(0x85, ['NumpadComma']);
run(0x87, ['IntlRo', 'KanaMode', 'IntlYen', 'Convert', 'NonConvert']);
run(0x90, numbers('Lang', 1, 5));
run(0x9b, ['Abort']);
run(0xa3, ['Props']);
run(0xb6, ['NumpadParenLeft', 'NumpadParenRight']);
run(0xbb, ['NumpadBackspace']);
run(0xcc, ['NumpadHash']);
run(0xd0, ['NumpadMemoryStore', 'NumpadMemoryRecall', 'NumpadMemoryClear', 'NumpadMemoryAdd', 'NumpadMemorySubtract']);
run(0xd8, ['NumpadClear', 'NumpadClearEntry']);
run(0xe0, [
  'ControlLeft',
  'ShiftLeft',
  'AltLeft',
  'MetaLeft',
  'ControlRight',
  'ShiftRight',
  'AltRight',
  'MetaRight',
]);
// Older names, still sent by some browsers.
usages.set('OSLeft', 0xe3);
usages.set('OSRight', 0xe7);
usages.set('VolumeMute', 0x7f);
usages.set('VolumeUp', 0x80);
usages.set('VolumeDown', 0x81);
// The same place as Backslash on ISO keyboards.
usages.set('IntlHash', 0x32);
// As on the telephone's star; HID has one star.
usages.set('NumpadStar', 0x55);

/** The usage of a key, or undefined for keys that the keyboard page lacks (media and browser keys). */
export function hidUsage(code: string): number | undefined {
  return usages.get(code);
}

/** Every code with its usage. */
export const HID_USAGES: ReadonlyMap<string, number> = usages;
