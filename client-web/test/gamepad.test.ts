import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AT_REST, Gamepads, knownPads, stateOf, type PadLike } from '../src/input/gamepad.ts';
import type { InputEvent } from '../src/input/encode.ts';
import { AXIS_NAMES, BUTTON_NAMES, Lesson, mapped, moved, rememberedMaps, rememberMaps, type PadMap } from '../src/input/remap.ts';
import { keyAfter } from '../src/ui/pad-keys.ts';
import { PadCommands, type PadCommand } from '../src/ui/pad-menu.ts';
import { CROSS, crossed, PARTS, pushed, touchAfter, type TouchWay } from '../src/ui/touch-pad.ts';
import { InputSender } from '../src/input/sender.ts';

interface Fake {
  index: number;
  id: string;
  connected: boolean;
  mapping: GamepadMappingType;
  axes: number[];
  buttons: { pressed: boolean; touched: boolean; value: number }[];
  vibrationActuator: { playEffect: ReturnType<typeof vi.fn>; reset: ReturnType<typeof vi.fn> };
}

function pad(index: number): Fake {
  return {
    index,
    id: `pad ${index}`,
    connected: true,
    mapping: 'standard',
    axes: [0, 0, 0, 0],
    buttons: Array.from({ length: 17 }, () => ({ pressed: false, touched: false, value: 0 })),
    vibrationActuator: { playEffect: vi.fn(() => Promise.resolve('complete')), reset: vi.fn(() => Promise.resolve('complete')) },
  };
}

function press(gamepad: Fake, number: number, pressed: boolean): void {
  gamepad.buttons[number] = { pressed, touched: pressed, value: pressed ? 1 : 0 };
}

describe('a gamepad’s state', () => {
  it('has every button, axis and trigger in its place', () => {
    const gamepad = pad(0);
    press(gamepad, 0, true);
    press(gamepad, 16, true);
    gamepad.buttons[6] = { pressed: true, touched: true, value: 0.5 };
    gamepad.axes = [-1, 1, 0.5, -0.000_01];
    expect(stateOf(gamepad as unknown as PadLike)).toEqual({
      buttons: 0b1_0000_0000_0100_0001, axes: [-32_767, 32_767, 16_384, -0], triggers: [128, 0],
    });
  });

  it('is bounded whatever the driver says, and at rest where it says nothing', () => {
    const gamepad = pad(0);
    gamepad.axes = [-7, Number.POSITIVE_INFINITY, Number.NaN];
    gamepad.buttons = [];
    expect(stateOf(gamepad as unknown as PadLike)).toEqual({ ...AT_REST, axes: [-32_767, 32_767, 0, 0] });
  });
});

describe('gamepads', () => {
  let pads: (Fake | null)[];
  let sent: (InputEvent & { motion?: boolean })[];
  let accepts: boolean;
  let active: boolean;
  let strange: string[];
  let came: number;
  let gamepads: Gamepads;

  beforeEach(() => {
    vi.useFakeTimers();
    [pads, sent, strange, came, accepts, active] = [[], [], [], 0, true, true];
    const sender = new InputSender();
    vi.spyOn(sender, 'send').mockImplementation((event) => {
      if (accepts) sent.push(event);
      return accepts;
    });
    vi.spyOn(sender, 'sendMotion').mockImplementation((event) => {
      if (accepts) sent.push({ ...event, motion: true });
      return accepts;
    });
    gamepads = new Gamepads(sender, {
      active: () => active,
      onCome: () => { came += 1; },
      onStrange: (id) => { strange.push(id); },
      read: () => pads as unknown as readonly PadLike[],
    });
  });

  afterEach(() => {
    gamepads.close();
    vi.useRealTimers();
  });

  const look = (): (InputEvent & { motion?: boolean })[] => {
    vi.advanceTimersByTime(4);
    return sent.splice(0);
  };
  const plugged = (number: number, is: boolean): InputEvent => ({ kind: 'gamepad-plugged', pad: number, plugged: is });

  it('are heard of once each, when the session has them', () => {
    active = false;
    pads = [pad(0), pad(1)];
    look();
    expect(came).toBe(0);
    active = true;
    look();
    look();
    expect(came).toBe(2);
  });

  it('are told when they come, change and go', () => {
    const [first, second] = [pad(0), pad(2)];
    pads = [first, null, second];
    expect(look()).toEqual([plugged(0, true), plugged(1, true)]);
    expect(look()).toEqual([]);
    press(second, 1, true);
    expect(look()).toEqual([{ kind: 'gamepad', pad: 1, ...AT_REST, buttons: 2 }]);
    pads = [null, null, second];
    expect(look()).toEqual([plugged(0, false)]);
    pads = [first, null, second];
    expect(look()).toEqual([plugged(0, true)]);
  });

  it('are four at most', () => {
    pads = [0, 1, 2, 3, 4].map((index) => pad(index));
    expect(look().length).toBe(4);
    pads[1] = null;
    expect(look()).toEqual([plugged(1, false), plugged(1, true)]);
  });

  it('send sticks as motion, and say once more where they came to rest', () => {
    const gamepad = pad(0);
    pads = [gamepad];
    look();
    gamepad.axes[0] = 1;
    const moved = { kind: 'gamepad', pad: 0, ...AT_REST, axes: [32_767, 0, 0, 0] };
    expect(look()).toEqual([{ ...moved, motion: true }]);
    vi.advanceTimersByTime(90);
    expect(look()).toEqual([]);
    vi.advanceTimersByTime(20);
    expect(look()).toEqual([moved]);
    vi.advanceTimersByTime(500);
    expect(look()).toEqual([]);
  });

  it('are told again what a full channel refused', () => {
    const gamepad = pad(0);
    accepts = false;
    pads = [gamepad];
    expect(look()).toEqual([]);
    accepts = true;
    expect(look()).toEqual([plugged(0, true)]);
    press(gamepad, 3, true);
    accepts = false;
    expect(look()).toEqual([]);
    accepts = true;
    expect(look()).toEqual([{ kind: 'gamepad', pad: 0, ...AT_REST, buttons: 8 }]);
  });

  it('are told anew after everything was released, if the page may', () => {
    const gamepad = pad(0);
    press(gamepad, 0, true);
    pads = [gamepad];
    const held = { kind: 'gamepad', pad: 0, ...AT_REST, buttons: 1 };
    expect(look()).toEqual([plugged(0, true), held]);
    active = false;
    gamepads.forget();
    expect(look()).toEqual([]);
    active = true;
    expect(look()).toEqual([plugged(0, true), held]);
  });

  it('that went while the page was away are told to be gone', () => {
    pads = [pad(0)];
    look();
    active = false;
    gamepads.forget();
    pads = [];
    expect(look()).toEqual([]);
    active = true;
    expect(look()).toEqual([plugged(0, false)]);
  });

  it('are not used without the standard mapping, which is said once, until they are taught', () => {
    const gamepad = { ...pad(0), mapping: '' as const };
    pads = [gamepad];
    expect(look()).toEqual([]);
    look();
    expect(strange).toEqual(['pad 0']);
    expect(gamepads.all).toEqual([{ pad: undefined, gamepad }]);
    const none = Array.from({ length: 17 }, () => null);
    gamepads.setMap('pad 0', { buttons: [{ from: 'button', index: 9 }, ...none.slice(1)], axes: [null, null, null, null] });
    press(gamepad, 0, true);
    expect(look()).toEqual([plugged(0, true)]);
    press(gamepad, 9, true);
    expect(look()).toEqual([{ kind: 'gamepad', pad: 0, ...AT_REST, buttons: 1 }]);
  });

  it('keep from the session what was pressed for the page', () => {
    const gamepad = pad(0);
    pads = [gamepad];
    press(gamepad, 1, true);
    gamepads.waitForRest();
    expect(look()).toEqual([plugged(0, true)]);
    press(gamepad, 1, false);
    expect(look()).toEqual([]);
    press(gamepad, 1, true);
    expect(look()).toEqual([{ kind: 'gamepad', pad: 0, ...AT_REST, buttons: 2 }]);
  });

  it('rumble for as long as the game wants', () => {
    const gamepad = pad(2);
    pads = [null, null, gamepad];
    look();
    const { playEffect, reset } = gamepad.vibrationActuator;
    gamepads.rumble(0, 65_535, 0, 6_000);
    expect(playEffect).toHaveBeenLastCalledWith('dual-rumble', { startDelay: 0, duration: 5_000, strongMagnitude: 1, weakMagnitude: 0 });
    vi.advanceTimersByTime(5_000);
    expect(playEffect).toHaveBeenLastCalledWith('dual-rumble', { startDelay: 0, duration: 1_000, strongMagnitude: 1, weakMagnitude: 0 });
    gamepads.rumble(0, 0, 0, 0);
    expect(reset).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(10_000);
    expect(playEffect).toHaveBeenCalledTimes(2);
    gamepads.rumble(3, 1, 1, 100);
    active = false;
    gamepads.rumble(0, 1, 1, 100);
    expect(playEffect).toHaveBeenCalledTimes(2);
  });
});

describe('teaching', () => {
  const raw = (axes: number[], ...down: number[]): Pick<PadLike, 'axes' | 'buttons'> => ({
    axes,
    buttons: Array.from({ length: 12 }, (_, index) => ({ pressed: down.includes(index), touched: false, value: down.includes(index) ? 1 : 0 })),
  });

  it('finds what was pressed or moved, and which way', () => {
    const rest = raw([0, 0, -1], 3);
    expect(moved(rest, raw([0.1, 0, -1], 3))).toBeUndefined();
    expect(moved(rest, raw([0, 0, -1], 3, 7))).toEqual({ from: 'button', index: 7 });
    expect(moved(rest, raw([0, -0.8, -1]))).toEqual({ from: 'axis', index: 1, rest: 0, sign: -1 });
    expect(moved(rest, raw([0, 0, 1]))).toEqual({ from: 'axis', index: 2, rest: -1, sign: 1 });
  });

  const none = Array.from({ length: 17 }, () => null);
  const map: PadMap = {
    buttons: [{ from: 'button', index: 7 }, { from: 'axis', index: 2, rest: -1, sign: 1 }, ...none.slice(2)],
    axes: [{ from: 'axis', index: 1, rest: 0, sign: -1 }, null, null, { from: 'button', index: 3 }],
  };

  it('makes the standard mapping of it', () => {
    const { axes, buttons } = mapped(raw([0, -0.5, 0], 3, 7), map);
    expect(axes).toEqual([0.5, 0, 0, 1]);
    expect(buttons.map(({ pressed, value }) => [pressed, value]).slice(0, 3)).toEqual([[true, 1], [true, 0.5], [false, 0]]);
    expect(mapped(raw([0, 1, -1]), map).axes[0]).toBe(-1);
    expect(mapped(raw([]), map).axes[0]).toBeCloseTo(0);
  });

  it('is remembered, and what is no map is not', () => {
    const kept = new Map<string, string>();
    vi.stubGlobal('localStorage', { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => kept.set(key, value) });
    rememberMaps(new Map([['a pad', map]]));
    expect(rememberedMaps()).toEqual(new Map([['a pad', map]]));
    const bad = { ...map, axes: [{ from: 'axis', index: -1, rest: 0, sign: 1 }, null, null, null] };
    for (const value of ['', 'null', '[1]', '{"a":1}', JSON.stringify({ a: bad }), JSON.stringify({ a: { ...map, buttons: [] } })]) {
      kept.set('nearlight.gamepads', value);
      expect(rememberedMaps().size).toBe(0);
    }
    vi.unstubAllGlobals();
  });
});

describe('the gamepad on the screen', () => {
  it('has sticks that go no further than their edge', () => {
    expect(pushed(0, 0, 50)).toEqual([0, 0]);
    expect(pushed(25, -50, 50)).toEqual([25 / Math.hypot(25, 50), -50 / Math.hypot(25, 50)]);
    expect(pushed(0, 10, 50)).toEqual([0, 0.2]);
  });

  it('has every button of a gamepad but home, once', () => {
    const buttons = PARTS.flatMap(([part]) => (part.kind === 'button' ? [part.button] : part.kind === 'cross' ? [...CROSS] : []));
    expect(buttons.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, number) => number));
  });

  it('has a cross of eight ways', () => {
    expect(crossed(0.1, 0.1)).toEqual([false, false, false, false]);
    expect(crossed(0, -1)).toEqual([true, false, false, false]);
    expect(crossed(0.7, 0.7)).toEqual([false, true, false, true]);
    expect(crossed(-1, 0.1)).toEqual([false, false, true, false]);
  });

  it('is offered where what is played takes gamepads, and nowhere else', () => {
    const turn = (takesPads: boolean): readonly TouchWay[] => {
      const ways: TouchWay[] = ['look and move'];
      for (let turns = 0; turns < 3; turns += 1) ways.push(touchAfter(ways.at(-1) ?? 'gamepad', takesPads));
      return ways;
    };
    expect(turn(true)).toEqual(['look and move', 'direct', 'gamepad', 'look and move']);
    expect(turn(false)).toEqual(['look and move', 'direct', 'look and move', 'direct']);
  });
});

describe('a lesson in buttons', () => {
  const rest = (): Fake => pad(0);

  it('asks for one after the other, each let go of first, and takes silence for what is not there', () => {
    const lesson = new Lesson(rest());
    const gamepad = rest();
    let now = 0;
    const look = (): void => { lesson.look((now += 20), gamepad); };
    // The button that asked for the lesson is held yet.
    press(gamepad, 0, true);
    look();
    expect(lesson.question).toBe(`Press ${BUTTON_NAMES[0]}`);
    for (const number of BUTTON_NAMES.keys()) {
      press(gamepad, number, false);
      press(gamepad, (number + 16) % 17, false);
      look();
      expect(lesson.question).toBe(`Press ${BUTTON_NAMES[number] ?? ''}`);
      if (number === 16) break;
      press(gamepad, number, true);
      look();
      look();
    }
    now += 9_900;
    look();
    expect(lesson.question).toBe(`Press ${BUTTON_NAMES[16]}`);
    now += 100;
    look();
    for (const [number, name] of AXIS_NAMES.entries()) {
      expect(lesson.question).toBe(`Push ${name}`);
      gamepad.axes[number] = -1;
      look();
      gamepad.axes[number] = 0;
      look();
    }
    expect(lesson.question).toBeUndefined();
    expect(lesson.map?.buttons.map((source) => source?.index)).toEqual([...Array.from({ length: 16 }, (_, number) => number), undefined]);
    expect(lesson.map?.axes.map((source) => source?.from)).toEqual(['axis', 'axis', 'axis', 'axis']);
  });

  it('teaches nothing where nobody answers', () => {
    const lesson = new Lesson(rest());
    for (let now = 0; lesson.question !== undefined; now += 10_000) lesson.look(now, rest());
    expect(lesson.map).toBeUndefined();
  });
});

describe('the page by gamepad', () => {
  const say = (commands: PadCommands, now: number, down: number[], axes = [0, 0]): PadCommand | undefined => {
    const gamepad = pad(0);
    for (const number of down) press(gamepad, number, true);
    gamepad.axes = axes;
    return commands.look([gamepad], now);
  };

  it('is commanded once for each press, and again by what moves and is held', () => {
    const commands = new PadCommands();
    expect(say(commands, 0, [0])).toBe('press');
    expect(say(commands, 10_000, [0])).toBeUndefined();
    expect(say(commands, 10_010, [])).toBeUndefined();
    expect(say(commands, 10_020, [13])).toBe('down');
    expect(say(commands, 10_400, [13])).toBeUndefined();
    expect(say(commands, 10_500, [13])).toBe('down');
    expect(say(commands, 10_510, [], [0, -1])).toBe('up');
    expect(say(commands, 10_520, [15])).toBe('right');
    expect(say(commands, 10_530, [], [-1, 0])).toBe('left');
    expect(say(commands, 10_540, [1])).toBe('back');
    expect(say(commands, 20_000, [1])).toBeUndefined();
  });

  it('is left alone by what is pressed on for what was there before, until nothing is for a moment', () => {
    const commands = new PadCommands();
    expect(say(commands, 0, [0])).toBe('press');
    commands.waitForRest();
    // Held as it ends, and pressed again and again after that.
    expect(say(commands, 30, [0])).toBeUndefined();
    for (const button of [0, 13, 1, 0]) {
      for (let look = 0; look < 15; look += 1) expect(say(commands, 60, [])).toBeUndefined();
      expect(say(commands, 90, [button])).toBeUndefined();
    }
    for (let look = 0; look < 16; look += 1) expect(say(commands, 120, [])).toBeUndefined();
    expect(say(commands, 150, [0])).toBe('press');
  });

  it('is worked by those whose buttons the browser knows or somebody taught', () => {
    const [standard, strange, taught, gone] = [pad(0), pad(1), pad(2), pad(3)];
    for (const each of [strange, taught]) each.mapping = '';
    gone.connected = false;
    press(taught, 5, true);
    const map: PadMap = { buttons: Array.from({ length: 17 }, (_, number) => (number === 0 ? { from: 'button', index: 5 } as const : null)), axes: [null, null, null, null] };
    const known = knownPads([standard, null, strange, taught, gone] as unknown as PadLike[], new Map([[taught.id, map]]));
    expect(known.map(({ buttons }) => buttons[0]?.pressed)).toEqual([false, true]);
  });

  it('has keys to write with, in rows that nothing leads out of', () => {
    expect([keyAfter(0, 'down'), keyAfter(10, 'right'), keyAfter(11, 'up'), keyAfter(1, 'left')]).toEqual([10, 11, 1, 0]);
    expect([keyAfter(0, 'left'), keyAfter(5, 'up'), keyAfter(43, 'right'), keyAfter(43, 'down')]).toEqual([0, 5, 43, 43]);
    // Shift, Space, Delete and Done are as wide as two keys or more.
    expect([30, 31, 32, 35, 36, 37, 38, 39].map((key) => keyAfter(key, 'down'))).toEqual([40, 40, 41, 41, 42, 42, 43, 43]);
    expect([40, 41, 42, 43].map((key) => keyAfter(key, 'up'))).toEqual([30, 32, 36, 38]);
  });

  it('opens the menu by home, or by select and start that are held', () => {
    const commands = new PadCommands();
    expect(say(commands, 0, [16])).toBe('open');
    expect(say(commands, 10, [16])).toBeUndefined();
    expect(say(commands, 20, [])).toBeUndefined();
    expect(say(commands, 30, [8, 9])).toBeUndefined();
    expect(say(commands, 700, [8, 9])).toBe('open');
    expect(say(commands, 710, [8, 9])).toBeUndefined();
    expect(say(commands, 720, [9])).toBeUndefined();
    expect(say(commands, 2_000, [8, 9])).toBeUndefined();
  });
});
