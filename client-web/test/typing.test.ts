import { describe, expect, it, vi } from 'vitest';
import { Keyboard } from '../src/input/keyboard.ts';
import type { InputEvent } from '../src/input/encode.ts';
import type { InputSender } from '../src/input/sender.ts';
import { meaningOf } from '../src/input/typing.ts';

type Press = Parameters<typeof meaningOf>[0];
type More = Partial<Omit<Press, 'getModifierState'>> & { readonly altGraph?: boolean };

const press = (code: string, key: string, more: More = {}): Press => ({
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- on Android nothing else says it
  code, key, keyCode: 0, isComposing: false, ctrlKey: false, altKey: false, metaKey: false, ...more,
  getModifierState: (name) => name === 'AltGraph' && more.altGraph === true,
});
const ctrl = { ctrlKey: true };
const text = { is: 'text' };
const nothing = { is: 'nothing' };
const key = (place: string): { is: string; place: string } => ({ is: 'key', place });

describe('what a press means to who types', () => {
  const anywhere: readonly (readonly [string, Press, object])[] = [
    ['a letter', press('KeyA', 'a'), text],
    ['a letter of another layout', press('KeyQ', 'й'), text],
    ['a space', press('Space', ' '), text],
    ['a character beyond 16 bits', press('KeyA', '🙂'), text],
    ['several characters at once', press('KeyA', 'नी'), text],
    ['a letter with Shift', press('KeyA', 'A'), text],
    ['a key with a short name', press('F1', 'F1'), key('F1')],
    ['a dead key', press('Equal', 'Dead'), text],
    ['AltGr with a letter', press('KeyQ', '@', { altGraph: true }), text],
    ['the same as Windows has it', press('KeyQ', '@', { altGraph: true, ctrlKey: true, altKey: true }), text],
    ['AltGr', press('AltRight', 'AltGraph'), nothing],
    ['Caps Lock', press('CapsLock', 'CapsLock'), nothing],
    ['what Android says', press('', 'Unidentified', { keyCode: 229 }), nothing],
    ['a key within a composition', press('KeyA', 'a', { isComposing: true }), nothing],
    ['a key that an input method took', press('KeyA', 'Process'), nothing],
    ['the same by its number', press('KeyA', 'a', { keyCode: 229 }), nothing],
    ['Enter', press('Enter', 'Enter'), key('Enter')],
    ['Tab', press('Tab', 'Tab'), key('Tab')],
    ['Escape', press('Escape', 'Escape'), key('Escape')],
    ['an arrow', press('ArrowUp', 'ArrowUp'), key('ArrowUp')],
    ['Shift', press('ShiftLeft', 'Shift'), key('ShiftLeft')],
    ['Ctrl', press('ControlLeft', 'Control', ctrl), key('ControlLeft')],
    ['Ctrl+C', press('KeyC', 'c', ctrl), key('KeyC')],
    ['Ctrl+Shift+C', press('KeyC', 'C', ctrl), key('KeyC')],
    ['Ctrl+Z on a German keyboard', press('KeyY', 'z', ctrl), key('KeyZ')],
    ['Ctrl+A on a French one', press('KeyQ', 'a', ctrl), key('KeyA')],
    ['Ctrl+С on a Russian one', press('KeyC', 'с', ctrl), key('KeyC')],
    ['Ctrl+/ on a German one', press('Digit7', '/', ctrl), key('Slash')],
    ['Ctrl with a dead key', press('Equal', 'Dead', ctrl), key('Equal')],
    ['Command+A on a French one', press('KeyQ', 'a', { metaKey: true }), key('KeyA')],
  ];
  it.each(anywhere)('%s', (_, event, meaning) => {
    expect(meaningOf(event, false)).toEqual(meaning);
    expect(meaningOf(event, true)).toEqual(meaning);
  });

  it('is text with Option, and a key with Alt', () => {
    const event = press('KeyL', '@', { altKey: true });
    expect(meaningOf(event, true)).toEqual(text);
    expect(meaningOf(event, false)).toEqual(key('KeyL'));
    expect(meaningOf(press('KeyY', 'z', { altKey: true }), false)).toEqual(key('KeyZ'));
  });
});

describe('keys that are others than they lie at', () => {
  const setUp = (): { readonly keyboard: Keyboard; readonly sent: InputEvent[] } => {
    const sent: InputEvent[] = [];
    const sender: Pick<InputSender, 'send'> = { send: (event) => sent.push(event) > 0 };
    return { keyboard: new Keyboard(sender as InputSender, () => undefined), sent };
  };
  const down = (code: string): Parameters<Keyboard['down']>[0] => ({
    ...press(code, 'x'), shiftKey: false, preventDefault: vi.fn(), stopPropagation: vi.fn(),
  });

  it('are let go of as what they were pressed', () => {
    const { keyboard, sent } = setUp();
    keyboard.down(down('KeyY'), 'KeyZ');
    keyboard.up({ code: 'KeyY' });
    expect(sent).toEqual([{ kind: 'key', code: 0x1d, pressed: true }, { kind: 'key', code: 0x1d, pressed: false }]);
  });

  it('are up when the last that is the same key is up', () => {
    const { keyboard, sent } = setUp();
    keyboard.down(down('KeyY'), 'KeyZ');
    keyboard.down(down('KeyZ'));
    keyboard.up({ code: 'KeyY' });
    expect(sent.filter((event) => event.kind === 'key' && !event.pressed)).toEqual([]);
    keyboard.up({ code: 'KeyZ' });
    expect(sent.at(-1)).toEqual({ kind: 'key', code: 0x1d, pressed: false });
  });

  it('are forgotten when everything was released', () => {
    const { keyboard, sent } = setUp();
    keyboard.down(down('KeyY'), 'KeyZ');
    keyboard.forget();
    keyboard.up({ code: 'KeyY' });
    expect(sent).toHaveLength(1);
  });
});
