import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { InputEvent } from '../src/input/encode.ts';
import { PointerMotion } from '../src/input/motion.ts';
import { Pointer } from '../src/input/pointer.ts';
import type { InputSender } from '../src/input/sender.ts';
import { howToBegin, withMouse } from '../src/ui/words.ts';

interface Bench {
  readonly pointer: Pointer;
  readonly surface: EventTarget;
  readonly sent: InputEvent[];
  /** What was dragged is followed beyond the picture so often. */
  readonly follows: () => number;
  /** How the lock came and went. */
  readonly locks: boolean[];
  readonly act: (name: string, change?: object) => void;
}

/** `granted` is when the browser locks it. */
function setUp(granted = Promise.resolve()): Bench {
  const sent: InputEvent[] = [];
  const locks: boolean[] = [];
  let follows = 0;
  let now = 0;
  const sender: Pick<InputSender, 'send' | 'sendMotion'> = { send: (event) => sent.push(event) > 0, sendMotion: (event) => sent.push(event) > 0 };
  const page = Object.assign(new EventTarget(), {
    pointerLockElement: null as EventTarget | null,
    exitPointerLock: (): void => { lockIs(null); },
  });
  const surface = Object.assign(new EventTarget(), {
    focus: (): void => undefined,
    setPointerCapture: (): void => { follows += 1; },
    requestPointerLock: async (): Promise<void> => {
      await granted;
      lockIs(surface);
    },
  });
  function lockIs(element: EventTarget | null): void {
    page.pointerLockElement = element;
    page.dispatchEvent(new Event('pointerlockchange'));
  }
  vi.stubGlobal('document', page);
  vi.stubGlobal('window', new EventTarget());
  const motion = new PointerMotion(sender as InputSender, () => (now += 10));
  const pointer = new Pointer(surface as unknown as HTMLElement, sender as InputSender, motion, {
    place: (x, y) => ({ x: x * 10, y: y * 10 }),
    takeFocus: () => undefined,
    isPen: () => false,
    onLock: (locked) => { locks.push(locked); },
  });
  const act = (name: string, change: object = {}): void => {
    const event = Object.assign(new Event(name, { cancelable: true }), { pointerType: 'mouse', pointerId: 1, button: 0, clientX: 3, clientY: 4, movementX: 1, movementY: 2, ...change });
    (name === 'mouseup' ? window : surface).dispatchEvent(event);
  };
  return { pointer, surface, sent, follows: () => follows, locks, act };
}

beforeEach(() => { vi.useFakeTimers(); });
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** What was promised by now has come about. */
const settled = async (): Promise<void> => { for (let turn = 0; turn < 10; turn += 1) await Promise.resolve(); };

const [pressed, released] = [true, false].map((down) => ({ kind: 'button', button: 0, pressed: down }));

describe('the pointer', () => {
  it('is locked by a press, where what is played is looked around in', async () => {
    const { surface, sent, follows, act } = setUp();
    act('pointerdown');
    act('mousedown');
    await settled();
    expect(document.pointerLockElement).toBe(surface);
    act('pointermove');
    act('mouseup');
    expect(sent).toEqual([{ kind: 'absolute', x: 30, y: 40 }, pressed, { kind: 'relative', totalX: 16, totalY: 32 }, released]);
    expect(follows()).toBe(0);
  });

  it('stays free where it is pointed at, and what is dragged is told as places', () => {
    const { pointer, sent, follows, locks, act } = setUp();
    pointer.isFree = true;
    act('pointerdown');
    act('mousedown');
    act('pointermove', { clientX: 5 });
    act('mouseup', { clientX: 6 });
    expect(sent).toEqual([{ kind: 'absolute', x: 30, y: 40 }, pressed, { kind: 'absolute', x: 50, y: 40 }, { kind: 'absolute', x: 60, y: 40 }, released]);
    expect([follows(), locks]).toEqual([1, []]);
    // A finger is not it.
    act('pointerdown', { pointerType: 'touch' });
    expect(follows()).toBe(1);
  });

  it('is locked nevertheless for who asks for that', async () => {
    const { pointer, sent, follows, locks, act } = setUp();
    pointer.isFree = true;
    expect(await pointer.lock()).toBe(true);
    act('pointerdown');
    act('pointermove');
    expect(sent).toEqual([{ kind: 'relative', totalX: 16, totalY: 32 }]);
    expect(follows()).toBe(0);
    // To be told the same once more changes nothing.
    pointer.isFree = true;
    expect(locks).toEqual([true]);
  });

  it('is freed where a press locked it before anybody knew', async () => {
    const { pointer, locks, act } = setUp();
    act('mousedown');
    await settled();
    pointer.isFree = true;
    expect(document.pointerLockElement).toBe(null);
    expect(locks).toEqual([true, false]);
  });

  it('is freed where the browser locks it once that is known', async () => {
    let grant = (): void => undefined;
    const { pointer, locks, act } = setUp(new Promise((resolve) => { grant = resolve; }));
    act('mousedown');
    pointer.isFree = true;
    grant();
    await settled();
    expect(document.pointerLockElement).toBe(null);
    expect(locks).toEqual([true, false]);
  });
});

describe('what the page says of it', () => {
  it.each([
    ['mouse', false, false, false, 'Click the picture to look around. Ctrl+Alt+Shift+M opens the menu'],
    ['mouse', true, true, false, 'Ctrl+Alt+Shift+M opens the menu'],
    ['mouse', false, false, true, 'Click the picture to look around. Ctrl+Alt+Shift+M, or Select and Start held down, opens the menu'],
    ['mouse', true, true, true, 'Ctrl+Alt+Shift+M, or Select and Start held down, opens the menu'],
    ['fingers', false, false, false, 'Left thumb moves, right thumb looks, tap to click'],
    ['fingers', false, true, false, 'Touch what you would click'],
    ['fingers', true, true, false, 'Touch what you would click'],
    ['fingers', true, true, true, 'Select and Start, held down, open the menu'],
  ] as const)('with %s, free: %s, direct: %s, a gamepad: %s', (has, isFree, isDirect, hasPad, words) => { expect(howToBegin(has, { isFree, isDirect, hasPad })).toBe(words); });

  it('promises no look around once it is freed, where a click does not bring one', () => {
    expect([true, false].map(withMouse)).toEqual(['The mouse is free', 'Click the picture to look around']);
  });
});
