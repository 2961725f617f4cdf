import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { keyName, rememberedKeys, rememberKeys, withKey, withoutKey } from '../src/input/key-map.ts';
import { Keyboard } from '../src/input/keyboard.ts';
import type { InputEvent } from '../src/input/encode.ts';
import type { InputSender } from '../src/input/sender.ts';

describe('keys that a player moved', () => {
  let stored: Map<string, string>;
  beforeEach(() => {
    stored = new Map();
    vi.stubGlobal('localStorage', {
      getItem: (key: string) => stored.get(key) ?? null,
      setItem: (key: string, value: string) => { stored.set(key, value); },
    });
  });
  afterEach(() => { vi.unstubAllGlobals(); });

  it('are others for the game, and let go of as what they were pressed', () => {
    const sent: InputEvent[] = [];
    const sender: Pick<InputSender, 'send'> = { send: (event) => sent.push(event) > 0 };
    const keyboard = new Keyboard(sender as InputSender, () => undefined);
    const event = {
      code: 'KeyE', ctrlKey: false, altKey: false, shiftKey: false, isComposing: false,
      preventDefault: () => undefined, stopPropagation: () => undefined, getModifierState: () => false,
    };
    keyboard.map = withKey(new Map(), 'KeyE', 'ArrowUp');
    keyboard.down(event);
    keyboard.map = new Map();
    keyboard.up(event);
    expect(sent).toEqual([{ kind: 'key', code: 0x52, pressed: true }, { kind: 'key', code: 0x52, pressed: false }]);
  });

  it('are remembered by game', () => {
    const map = withKey(withKey(new Map(), 'KeyE', 'ArrowUp'), 'KeyF', 'Space');
    rememberKeys('doom', map);
    rememberKeys('other', withKey(new Map(), 'KeyX', 'KeyY'));
    expect(rememberedKeys('doom')).toEqual(map);
    rememberKeys('doom', withoutKey(withoutKey(map, 'KeyE'), 'KeyF'));
    expect(rememberedKeys('doom').size).toBe(0);
    expect(rememberedKeys('other').get('KeyX')).toBe('KeyY');
  });

  it('are themselves again where both are one', () => {
    expect(withKey(withKey(new Map(), 'KeyE', 'KeyF'), 'KeyE', 'KeyE').size).toBe(0);
  });

  it.each(['', 'null', '[]', '{"doom":1}', '{"doom":null}', '{"doom":{"KeyE":7,"x":"KeyE","KeyE ":"y"}}', '{"doom":['])('are none where %s is remembered', (text) => {
    stored.set('nearlight.keys', text);
    expect(rememberedKeys('doom').size).toBe(0);
  });

  it('have names', () => {
    expect(['KeyW', 'Digit1', 'ArrowUp', 'ShiftLeft', 'NumpadEnter', 'F12', 'Numpad7', 'Space'].map(keyName))
      .toEqual(['W', '1', '↑', 'Shift Left', 'Numpad Enter', 'F12', 'Numpad 7', 'Space']);
  });
});
