import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { encodeInput, MAX_TEXT_BYTES, type InputEvent } from '../src/input/encode.ts';
import { HID_USAGES, hidUsage } from '../src/input/hid.ts';
import { Keyboard, pasteOf, type Shortcut } from '../src/input/keyboard.ts';
import { PointerMotion, wireTotal } from '../src/input/motion.ts';
import { InputSender, type Pipe } from '../src/input/sender.ts';
import { textPieces } from '../src/input/text.ts';
import { stickKeys } from '../src/input/touch.ts';
import { WheelScale } from '../src/input/wheel.ts';
import type { InputSeq, Micros } from '../src/units.ts';
import vectors from './input-vectors.json';

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

class FakePipe implements Pipe {
  readyState: RTCDataChannelState = 'open';
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  onbufferedamountlow: RTCDataChannel['onbufferedamountlow'] = null;
  readonly sent: Uint8Array[] = [];
  send(data: unknown): void {
    if (!(data instanceof Uint8Array)) throw new TypeError('input is binary');
    this.sent.push(data);
  }
  /** The path moves again: everything that waited has left, and the browser says so. */
  drain(): void {
    const before = this.bufferedAmount;
    this.bufferedAmount = 0;
    if (before > this.bufferedAmountLowThreshold) this.onbufferedamountlow?.call({} as RTCDataChannel, new Event('bufferedamountlow'));
  }
  /** Kind and number of every message. */
  get heads(): readonly (readonly [number, number])[] {
    return this.sent.map((bytes) => [bytes[0] ?? 0, new DataView(bytes.buffer).getUint32(1, true)]);
  }
}

function senderWithPipes(): { sender: InputSender; input: FakePipe; motion: FakePipe } {
  const sender = new InputSender(() => 7 as Micros);
  const [input, motion] = [new FakePipe(), new FakePipe()];
  sender.attach(input, motion);
  return { sender, input, motion };
}

describe('the wire format', () => {
  it.each(vectors.map((vector) => [vector.event.kind, vector.hex, vector] as const))('%s is %s', (_, expected, vector) => {
    expect(hex(encodeInput(vector.seq as InputSeq, vector.event as InputEvent))).toBe(expected);
  });

  it('has a vector for every kind of event', () => {
    expect(new Set(vectors.map((vector) => vector.hex.slice(0, 2)))).toEqual(
      new Set(['01', '02', '03', '04', '05', '06', '07', '08', '09', '0a', '0b', '0c', '0d']),
    );
  });
});

describe('key places', () => {
  it('agree with the USB HID Usage Tables', () => {
    const known: Record<string, number> = {
      KeyA: 0x04, KeyZ: 0x1d, Digit1: 0x1e, Digit0: 0x27, Enter: 0x28, Space: 0x2c, Backslash: 0x31, CapsLock: 0x39,
      F1: 0x3a, F12: 0x45, PrintScreen: 0x46, PageDown: 0x4e, ArrowRight: 0x4f, ArrowUp: 0x52, NumLock: 0x53,
      NumpadEnter: 0x58, Numpad1: 0x59, Numpad0: 0x62, NumpadDecimal: 0x63, IntlBackslash: 0x64, F13: 0x68, F24: 0x73,
      IntlRo: 0x87, Lang5: 0x94, NumpadMemorySubtract: 0xd4, ControlLeft: 0xe0, MetaRight: 0xe7,
    };
    for (const [code, usage] of Object.entries(known)) expect(hidUsage(code), code).toBe(usage);
  });

  it('are ones that the server takes, and no two common keys share one', () => {
    const aliases = new Set(['OSLeft', 'OSRight', 'VolumeMute', 'VolumeUp', 'VolumeDown', 'NumpadStar']);
    const seen = new Map<number, string>();
    for (const [code, usage] of HID_USAGES) {
      expect(usage).toBeGreaterThanOrEqual(0x04);
      expect(usage).toBeLessThanOrEqual(0xe7);
      if (aliases.has(code)) continue;
      expect(seen.get(usage), `${code} shares ${usage}`).toBeUndefined();
      seen.set(usage, code);
    }
  });

  it('leave out what is no keyboard key', () => {
    for (const code of ['', 'Unidentified', 'MediaPlayPause', 'BrowserBack']) expect(hidUsage(code)).toBeUndefined();
  });
});

describe('the sender', () => {
  it('numbers events over both channels in one row', () => {
    const { sender, input, motion } = senderWithPipes();
    sender.send({ kind: 'key', code: 4, pressed: true });
    sender.sendMotion({ kind: 'relative', totalX: 1, totalY: 1 });
    sender.send({ kind: 'key', code: 4, pressed: false });
    expect(input.heads).toEqual([[1, 1], [1, 3]]);
    expect(motion.heads).toEqual([[4, 2]]);
    expect(sender.newest).toBe(3);
    expect(sender.take().map(({ seq, kind }) => [seq, kind])).toEqual([[1, 'key'], [2, 'relative'], [3, 'key']]);
    expect(sender.take()).toEqual([]);
  });

  it('goes on counting on a new connection', () => {
    const { sender } = senderWithPipes();
    sender.send({ kind: 'release-all' });
    sender.detach();
    expect(sender.send({ kind: 'release-all' })).toBe(false);
    const input = new FakePipe();
    sender.attach(input, new FakePipe());
    sender.send({ kind: 'release-all' });
    expect(input.heads).toEqual([[8, 2]]);
  });

  it('drops motion on a full channel without using up a number', () => {
    const { sender, motion } = senderWithPipes();
    motion.bufferedAmount = 4096;
    expect(sender.sendMotion({ kind: 'absolute', x: 1, y: 1 })).toBe(false);
    expect(sender.newest).toBe(0);
  });

  it('releases everything before the next event after it had to drop one', () => {
    const { sender, input } = senderWithPipes();
    input.bufferedAmount = 64 * 1024;
    expect(sender.send({ kind: 'key', code: 4, pressed: false })).toBe(false);
    input.bufferedAmount = 0;
    sender.send({ kind: 'key', code: 5, pressed: true });
    expect(input.heads).toEqual([[8, 1], [1, 2]]);
  });

  it('releases everything once the path moves again, also when no event follows', () => {
    const { sender, input } = senderWithPipes();
    const onReleased = vi.fn();
    sender.events = { onReleased, onMotionReady: () => undefined };
    input.bufferedAmount = 64 * 1024;
    sender.send({ kind: 'key', code: 4, pressed: false });
    expect(onReleased).not.toHaveBeenCalled();
    input.drain();
    expect(input.heads).toEqual([[8, 1]]);
    expect(onReleased).toHaveBeenCalledOnce();
    sender.send({ kind: 'key', code: 4, pressed: true });
    expect(input.heads).toEqual([[8, 1], [1, 2]]);
  });

  it('releases nothing when a full channel drains and nothing was dropped', () => {
    const { input } = senderWithPipes();
    input.bufferedAmount = 64 * 1024;
    input.drain();
    expect(input.sent).toEqual([]);
  });

  it('leaves channels that it no longer uses alone', () => {
    const { sender, input } = senderWithPipes();
    input.bufferedAmount = 64 * 1024;
    sender.send({ kind: 'key', code: 4, pressed: false });
    sender.attach(new FakePipe(), new FakePipe());
    input.drain();
    expect(input.sent).toEqual([]);
  });

  it('takes a channel that closes under it as not there', () => {
    const { sender, input } = senderWithPipes();
    input.send = () => {
      throw new Error('closed');
    };
    expect(sender.send({ kind: 'release-all' })).toBe(false);
    expect(sender.newest).toBe(0);
  });
});

describe('pointer motion', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('wraps totals as 32-bit numbers', () => {
    expect(wireTotal(1)).toBe(16);
    expect(wireTotal(-0.5)).toBe(-8);
    expect(wireTotal(2 ** 27)).toBe(-(2 ** 31));
    expect(wireTotal(2 ** 28 + 1)).toBe(16);
  });

  it('sends totals, at most one message in 2 ms, and the last one always', () => {
    let now = 0;
    const { sender, motion } = senderWithPipes();
    const pointer = new PointerMotion(sender, () => now);
    pointer.moveBy(1, 0);
    for (let step = 0; step < 10; step += 1) {
      now += 0.1;
      pointer.moveBy(1, -0.25);
    }
    expect(motion.sent).toHaveLength(1);
    now = 2;
    vi.advanceTimersByTime(2);
    expect(motion.sent).toHaveLength(2);
    const last = new DataView((motion.sent[1] ?? new Uint8Array(13)).buffer);
    expect([last.getInt32(5, true), last.getInt32(9, true)]).toEqual([11 * 16, -40]);
    pointer.close();
  });

  it('sends the last move once a full channel has drained, though nothing moves any more', () => {
    const { sender, motion } = senderWithPipes();
    const pointer = new PointerMotion(sender, () => 0);
    sender.events = { onReleased: () => undefined, onMotionReady: () => { pointer.resume(); } };
    motion.bufferedAmount = 4096;
    pointer.moveTo(1, 2);
    pointer.moveTo(3, 4);
    vi.advanceTimersByTime(1_000);
    expect(motion.sent).toEqual([]);
    motion.drain();
    expect(motion.sent.map((bytes) => Array.from(bytes).slice(5))).toEqual([[3, 0, 4, 0]]);
  });

  it('settles a place on the reliable channel before a click', () => {
    const { sender, input, motion } = senderWithPipes();
    const pointer = new PointerMotion(sender, () => 0);
    pointer.moveTo(1, 2);
    pointer.moveTo(3, 4);
    pointer.settle({ x: 5, y: 6 });
    vi.advanceTimersByTime(1_000);
    expect(motion.heads).toEqual([[3, 1]]);
    expect(input.heads).toEqual([[3, 2]]);
    expect(Array.from(input.sent[0] ?? []).slice(5)).toEqual([5, 0, 6, 0]);
  });

  it('says on the reliable channel, once, where the pointer came to rest', () => {
    const { sender, input, motion } = senderWithPipes();
    const pointer = new PointerMotion(sender, () => performance.now());
    for (const x of [1, 2, 3]) {
      vi.advanceTimersByTime(99);
      pointer.moveTo(x, 7);
    }
    expect(motion.heads).toEqual([[3, 1], [3, 2], [3, 3]]);
    vi.advanceTimersByTime(99);
    expect(input.sent).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(input.heads).toEqual([[3, 4]]);
    expect(Array.from(input.sent[0] ?? []).slice(5)).toEqual([3, 0, 7, 0]);
    // Nor does a channel that drains bring it back.
    pointer.resume();
    vi.advanceTimersByTime(1_000);
    expect([motion.sent.length, input.sent.length]).toEqual([3, 1]);
    pointer.close();
  });

  it('keeps an old place to itself once the pointer is locked, or has gone on where it cannot be told', () => {
    const { sender, input, motion } = senderWithPipes();
    const pointer = new PointerMotion(sender, () => performance.now());
    pointer.moveTo(1, 2);
    vi.advanceTimersByTime(50);
    pointer.moveBy(3, 0);
    vi.advanceTimersByTime(1_000);
    expect(motion.heads).toEqual([[3, 1], [4, 2]]);
    pointer.moveTo(5, 6);
    vi.advanceTimersByTime(50);
    motion.bufferedAmount = 4096;
    pointer.moveTo(7, 8);
    vi.advanceTimersByTime(1_000);
    expect(input.sent).toEqual([]);
    motion.bufferedAmount = 0;
    pointer.resume();
    vi.advanceTimersByTime(100);
    expect(Array.from(input.sent[0] ?? []).slice(5)).toEqual([7, 0, 8, 0]);
    pointer.moveTo(9, 9);
    pointer.close();
    vi.advanceTimersByTime(1_000);
    expect(input.sent).toHaveLength(1);
  });
});

describe('the keyboard', () => {
  const press = (code: string, modifiers = {}): Parameters<Keyboard['down']>[0] => ({
    code, ctrlKey: false, altKey: false, shiftKey: false, isComposing: false,
    preventDefault: () => undefined, stopPropagation: () => undefined, getModifierState: () => false, ...modifiers,
  });
  const setUp = (): { keyboard: Keyboard; input: FakePipe; shortcuts: Shortcut[] } => {
    const { sender, input } = senderWithPipes();
    const shortcuts: Shortcut[] = [];
    return { keyboard: new Keyboard(sender, (shortcut) => { shortcuts.push(shortcut); }), input, shortcuts };
  };

  it('leaves out repeats, and presses anew after everything was released', () => {
    const { keyboard, input } = setUp();
    keyboard.down(press('KeyW'));
    keyboard.down(press('KeyW'));
    expect(input.sent).toHaveLength(1);
    keyboard.forget();
    keyboard.down(press('KeyW'));
    keyboard.up({ code: 'KeyW' });
    keyboard.up({ code: 'KeyW' });
    expect(input.sent).toHaveLength(3);
  });

  it('lets go of keys whose release macOS swallows', () => {
    const { keyboard, input } = setUp();
    keyboard.down(press('MetaLeft'));
    keyboard.down(press('KeyC'));
    keyboard.up({ code: 'MetaLeft' });
    expect(input.sent.map((bytes) => [bytes[5], bytes[7]])).toEqual([[0xe3, 1], [0x06, 1], [0xe3, 0], [0x06, 0]]);
  });

  const ends = ({ sent }: FakePipe): readonly (readonly (number | undefined)[])[] => sent.splice(0).map((bytes) => [bytes[5], bytes[7]]);

  it.each([['Lang1', 0x90], ['Lang2', 0x91]])('lets go at once of %s, whose release no browser reports', (code, usage) => {
    const { keyboard, input } = setUp();
    for (let times = 0; times < 2; times += 1) {
      keyboard.down(press(code));
      expect(ends(input)).toEqual([[usage, 1], [usage, 0]]);
    }
    // One that does report it, and one that repeats it.
    keyboard.up({ code });
    keyboard.down(press(code, { repeat: true }));
    expect(ends(input)).toEqual([]);
  });

  it('strikes Caps Lock where macOS reports that it is switched on, and where that it is switched off', () => {
    const { sender, input } = senderWithPipes();
    const keyboard = new Keyboard(sender, () => undefined, () => false, true);
    keyboard.down(press('CapsLock'));
    expect(ends(input)).toEqual([[0x39, 1], [0x39, 0]]);
    keyboard.up({ code: 'CapsLock' });
    expect(ends(input)).toEqual([[0x39, 1], [0x39, 0]]);
    // What somebody switches off elsewhere on the page is no key of the game's.
    keyboard.up({ code: 'CapsLock' }, false);
    expect(ends(input)).toEqual([]);
    keyboard.map = new Map([['CapsLock', 'KeyA']]);
    keyboard.up({ code: 'CapsLock' });
    expect(ends(input)).toEqual([[0x04, 1], [0x04, 0]]);
  });

  it('holds Caps Lock where it is a key like others', () => {
    const { keyboard, input } = setUp();
    keyboard.down(press('CapsLock'));
    expect(ends(input)).toEqual([[0x39, 1]]);
    keyboard.up({ code: 'CapsLock' });
    expect(ends(input)).toEqual([[0x39, 0]]);
  });

  it('keeps shortcuts to itself', () => {
    const { keyboard, input, shortcuts } = setUp();
    keyboard.down(press('KeyS', { ctrlKey: true, altKey: true, shiftKey: true }));
    expect(shortcuts).toEqual(['hud']);
    expect(input.sent).toEqual([]);
  });

  it('takes AltGr, which Windows reports as Ctrl and Alt, for no shortcut', () => {
    const { keyboard, input, shortcuts } = setUp();
    const altGraph = (name: string): boolean => name === 'AltGraph';
    keyboard.down(press('KeyS', { ctrlKey: true, altKey: true, shiftKey: true, getModifierState: altGraph }));
    expect(shortcuts).toEqual([]);
    expect(input.sent).toHaveLength(1);
  });

  it('presses keys that are still held anew after events were dropped', () => {
    const { sender, input } = senderWithPipes();
    const keyboard = new Keyboard(sender, () => undefined);
    sender.events = { onReleased: () => { keyboard.forget(); }, onMotionReady: () => undefined };
    keyboard.down(press('KeyW'));
    input.bufferedAmount = 64 * 1024;
    keyboard.down(press('KeyD'));
    input.drain();
    keyboard.down(press('KeyW'));
    keyboard.up({ code: 'KeyW' });
    // W, the release, W again as it repeats, W up.
    expect(input.heads.map(([kind]) => kind)).toEqual([1, 8, 1, 1]);
  });

  it('strikes a key that pastes once the game has what is pasted, with its modifiers', async () => {
    vi.useFakeTimers();
    const { sender, input } = senderWithPipes();
    const keyboard = new Keyboard(sender, () => undefined, () => true);
    const keys = (): (readonly [number | undefined, number | undefined])[] => input.sent.splice(0).map((bytes) => [bytes[5], bytes[7]] as const);
    const [control, shift, meta, v, insert] = [0xe0, 0xe1, 0xe3, 0x19, 0x49];
    let prevented = 0;
    const asks = (code: string, modifiers: object): void => { keyboard.down(press(code, { ...modifiers, preventDefault: () => { prevented += 1; } })); };
    // Held all the while.
    keyboard.down(press('ControlRight'));
    asks('KeyV', { ctrlKey: true });
    asks('KeyV', { ctrlKey: true, repeat: true });
    expect([prevented, keys().length]).toEqual([1, 1]);
    let bring: () => void = () => undefined;
    const pasted = keyboard.pasted(new Promise((resolve) => { bring = resolve; }));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(keys()).toEqual([]);
    bring();
    await pasted;
    expect(keys()).toEqual([[v, 1], [v, 0]]);
    keyboard.up({ code: 'ControlRight' });
    // Let go of before it was there, and Command instead of Ctrl.
    asks('Insert', { shiftKey: true });
    await keyboard.pasted(Promise.resolve());
    keyboard.down(press('MetaLeft'));
    asks('KeyV', { metaKey: true });
    await keyboard.pasted(Promise.resolve());
    expect(keys()).toEqual([[0xe4, 0], [shift, 1], [insert, 1], [insert, 0], [shift, 0], [meta, 1], [meta, 0], [control, 1], [v, 1], [v, 0], [control, 0]]);
    // A browser that says nothing holds no key back for long, and what it says then strikes none.
    asks('KeyV', { ctrlKey: true });
    await vi.advanceTimersByTimeAsync(250);
    expect(keys()).toHaveLength(4);
    await keyboard.pasted(Promise.resolve());
    expect(keys()).toEqual([]);
    vi.useRealTimers();
  });

  it('knows the keys that paste', () => {
    const none = { ctrlKey: false, altKey: false, shiftKey: false, metaKey: false };
    expect(pasteOf('KeyV', { ...none, ctrlKey: true })).toEqual(['ControlLeft']);
    expect(pasteOf('KeyV', { ...none, ctrlKey: true, shiftKey: true })).toEqual(['ControlLeft', 'ShiftLeft']);
    expect(pasteOf('Insert', { ...none, shiftKey: true })).toEqual(['ShiftLeft']);
    for (const [place, other] of [['KeyV', {}], ['KeyV', { altKey: true, ctrlKey: true }], ['Insert', {}], ['KeyC', { ctrlKey: true }], ['Insert', { shiftKey: true, ctrlKey: true }]] as const) {
      expect(pasteOf(place, { ...none, ...other })).toBeUndefined();
    }
  });

  it('leaves compositions alone', () => {
    const { keyboard, input } = setUp();
    keyboard.down(press('KeyA', { isComposing: true }));
    expect(input.sent).toEqual([]);
  });
});

describe('the wheel', () => {
  it('counts a notch as 120 in every mode', () => {
    const notch = { x: 0, y: 120 };
    expect(new WheelScale().take({ deltaX: 0, deltaY: 100, deltaMode: 0 })).toEqual(notch);
    expect(new WheelScale().take({ deltaX: 0, deltaY: 3, deltaMode: 1 })).toEqual(notch);
    expect(new WheelScale().take({ deltaX: 0, deltaY: 1, deltaMode: 2 })).toEqual(notch);
  });

  it('keeps fractions for later', () => {
    const wheel = new WheelScale();
    expect(wheel.take({ deltaX: 0, deltaY: -0.5, deltaMode: 0 })).toBeUndefined();
    expect(wheel.take({ deltaX: 0, deltaY: -0.5, deltaMode: 0 })).toEqual({ x: 0, y: -1 });
  });

  it('stays within 16 bits', () => {
    expect(new WheelScale().take({ deltaX: 1e9, deltaY: -1e9, deltaMode: 0 })).toEqual({ x: 32767, y: -32768 });
  });
});

describe('text', () => {
  it('travels in pieces of at most 64 bytes with no character split', () => {
    const text = '🙂'.repeat(40) + 'ß'.repeat(50);
    const pieces = textPieces(text);
    expect(pieces.join('')).toBe(text);
    for (const piece of pieces) {
      expect(new TextEncoder().encode(piece).length).toBeLessThanOrEqual(MAX_TEXT_BYTES);
      expect(piece).not.toMatch(/\p{Surrogate}/u);
    }
  });

  it('loses control characters and lone surrogates', () => {
    expect(textPieces('a\u0000\u001b\u007f\u0085\nb\ud800')).toEqual(['ab']);
    expect(textPieces('\n')).toEqual([]);
  });
});

describe('the touch stick', () => {
  it('presses the keys of eight directions', () => {
    expect(stickKeys(0, -50)).toEqual(['KeyW']);
    expect(stickKeys(40, -40)).toEqual(['KeyW', 'KeyD']);
    expect(stickKeys(50, 3)).toEqual(['KeyD']);
    expect(stickKeys(-40, 40)).toEqual(['KeyS', 'KeyA']);
  });

  it('rests in the middle', () => {
    expect(stickKeys(5, 5)).toEqual([]);
  });
});
