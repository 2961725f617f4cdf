import { describe, expect, it } from 'vitest';
import { PEN, type InputEvent } from '../src/input/encode.ts';
import { PenInput, penOf } from '../src/input/pen.ts';
import type { InputSender } from '../src/input/sender.ts';

type Like = Parameters<typeof penOf>[0];
const pen = (change: Partial<Like> = {}): Like => ({ buttons: 0, pressure: 0, tiltX: 0, tiltY: 0, twist: 0, clientX: 3, clientY: 4, ...change });
const place = (x: number, y: number): { readonly x: number; readonly y: number } => ({ x: x * 10, y: y * 10 });
const rest = { x: 30, y: 40, pressure: 0, tiltX: 0, tiltY: 0, twist: 0, state: PEN.near };

describe('a pen as it travels', () => {
  const cases: readonly (readonly [string, Partial<Like>, object])[] = [
    ['near', {}, rest],
    ['near, with a browser that says it presses', { pressure: 0.5 }, rest],
    ['down', { buttons: 1, pressure: 0.5, tiltX: -30, tiltY: 45, twist: 270 }, { ...rest, pressure: 32_768, tiltX: -30, tiltY: 45, twist: 270, state: PEN.near | PEN.tip }],
    ['down with its button', { buttons: 3, pressure: 1 }, { ...rest, pressure: 65_535, state: PEN.near | PEN.tip | PEN.barrel }],
    ['with its button alone', { buttons: 2, pressure: 1 }, { ...rest, state: PEN.near | PEN.barrel }],
    ['upside down', { buttons: 32, pressure: 0.25 }, { ...rest, pressure: 16_384, state: PEN.near | PEN.tip | PEN.eraser }],
    ['what cannot be', { buttons: 1, pressure: 7, tiltX: 200, tiltY: Number.NaN, twist: -1 }, { ...rest, pressure: 65_535, tiltX: 90, state: PEN.near | PEN.tip }],
  ];
  it.each(cases)('%s', (_, event, wanted) => { expect(penOf(pen(event), place)).toEqual(wanted); });
});

describe('a pen', () => {
  const setUp = (taken = true): { readonly sure: InputEvent[]; readonly unsure: InputEvent[]; readonly input: PenInput; readonly act: (name: string, change?: object) => Event } => {
    const [sure, unsure]: [InputEvent[], InputEvent[]] = [[], []];
    const sender: Pick<InputSender, 'send' | 'sendMotion'> = { send: (event) => sure.push(event) > 0, sendMotion: (event) => unsure.push(event) > 0 };
    const surface = Object.assign(new EventTarget(), { focus: () => undefined, setPointerCapture: () => undefined });
    const input = new PenInput(surface as unknown as HTMLElement, sender as InputSender, { place, taken: () => taken });
    const act = (name: string, change: object = {}): Event => {
      const event = Object.assign(new Event(name, { cancelable: true }), { pointerType: 'pen', pointerId: 1, ...pen(), ...change });
      surface.dispatchEvent(event);
      return event;
    };
    return { sure, unsure, input, act };
  };

  it('is told surely where it comes down and goes, and as motion between', () => {
    const { sure, unsure, input, act } = setUp();
    act('pointermove');
    expect(act('pointerdown', { buttons: 1, pressure: 0.5 }).defaultPrevented).toBe(true);
    expect(input.isDown).toBe(true);
    act('pointermove', { buttons: 1, pressure: 0.75, clientX: 5 });
    act('pointerup');
    act('pointerleave');
    expect(sure.map((event) => event.kind === 'pen' && event.state)).toEqual([1, 3, 1, 0]);
    expect(unsure).toEqual([{ kind: 'pen', ...rest, x: 50, pressure: 49_151, state: 3 }]);
    expect(input.isDown).toBe(false);
  });

  it('is told anew after everything was released', () => {
    const { sure, input, act } = setUp();
    act('pointerdown', { buttons: 1 });
    input.forget();
    act('pointermove', { buttons: 1 });
    expect(sure.map((event) => event.kind === 'pen' && event.state)).toEqual([3, 3]);
  });

  it('is a mouse where it is not taken, and others are never it', () => {
    const none = setUp(false);
    expect(none.act('pointerdown', { buttons: 1 }).defaultPrevented).toBe(false);
    const { sure, act } = setUp();
    act('pointerdown', { buttons: 1, pointerType: 'mouse' });
    expect([none.sure, sure]).toEqual([[], []]);
  });
});
