import { describe, expect, it } from 'vitest';
import { crc32 } from '../src/input/dualsense/crc32.ts';
import { calibrationOf, effectsReport, parseReport, type DualSenseEffects, type Wire } from '../src/input/dualsense/report.ts';

/** A report at rest, as `struct dualsense_input_report` has it: sticks in the middle, hat at 8, no fingers. */
function report(change: Readonly<Record<number, number>> = {}): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(63);
  bytes.set([128, 128, 128, 128]);
  bytes[7] = 8;
  bytes[32] = 0x80;
  bytes[36] = 0x80;
  for (const [at, value] of Object.entries(change)) bytes[Number(at)] = value;
  return bytes;
}

/** The same as it comes by Bluetooth: a byte before it, the sum at its end. */
function byBluetooth(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(77);
  whole[0] = 0x31;
  whole.set(bytes, 1);
  new DataView(whole.buffer).setUint32(73, crc32([0xa1, 0x31], whole.subarray(0, 73)), true);
  return whole;
}

const view = (bytes: Uint8Array<ArrayBuffer>): DataView => new DataView(bytes.buffer);
const usb = (change?: Readonly<Record<number, number>>): ReturnType<typeof parseReport> => parseReport(1, view(report(change)), 'usb');

describe('the sum', () => {
  it('is that of IEEE 802.3', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
    expect(crc32(new TextEncoder().encode('1234'), new TextEncoder().encode('56789'))).toBe(0xcbf43926);
    expect(crc32()).toBe(0);
  });
});

describe('what a DualSense says', () => {
  it('is nothing at rest', () => {
    expect(usb()).toEqual({
      pad: { buttons: 0, axes: [0, 0, 0, 0], triggers: [0, 0] },
      motion: { gyro: [0, 0, 0], accel: [0, 0, 0], time: 0 },
      fingers: [null, null],
      touchpad: false,
      mute: false,
    });
  });

  const buttons: readonly (readonly [string, Readonly<Record<number, number>>, readonly number[]])[] = [
    ['square', { 7: 0x18 }, [2]], ['cross', { 7: 0x28 }, [0]], ['circle', { 7: 0x48 }, [1]], ['triangle', { 7: 0x88 }, [3]],
    ['L1', { 8: 1 }, [4]], ['R1', { 8: 2 }, [5]], ['L2', { 8: 4 }, [6]], ['R2', { 8: 8 }, [7]],
    ['create', { 8: 0x10 }, [8]], ['options', { 8: 0x20 }, [9]], ['L3', { 8: 0x40 }, [10]], ['R3', { 8: 0x80 }, [11]],
    ['PS', { 9: 1 }, [16]],
    ['up', { 7: 0 }, [12]], ['up right', { 7: 1 }, [12, 15]], ['right', { 7: 2 }, [15]], ['down right', { 7: 3 }, [13, 15]],
    ['down', { 7: 4 }, [13]], ['down left', { 7: 5 }, [13, 14]], ['left', { 7: 6 }, [14]], ['up left', { 7: 7 }, [12, 14]],
    ['all', { 7: 0xf0, 8: 0xff, 9: 7 }, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16]],
  ];
  it.each(buttons)('%s', (_, change, wanted) => {
    const bits = wanted.reduce((all, button) => all | (1 << button), 0);
    expect(usb(change)?.pad.buttons).toBe(bits);
    expect(parseReport(0x31, view(byBluetooth(report(change))), 'bluetooth')).toEqual(usb(change));
  });

  it('has sticks and triggers', () => {
    expect(usb({ 0: 0, 1: 255, 2: 255, 3: 0, 4: 7, 5: 255 })?.pad).toEqual({ buttons: 0, axes: [-32_767, 32_767, 32_767, -32_767], triggers: [7, 255] });
  });

  it('has the touchpad’s button, and the one of the microphone', () => {
    expect([usb({ 9: 2 })?.touchpad, usb({ 9: 4 })?.mute]).toEqual([true, true]);
  });

  it('has motion', () => {
    const bytes = report();
    for (const [index, value] of [1, -2, 32_767, -32_768, 8192, -8192].entries()) view(bytes).setInt16(15 + 2 * index, value, true);
    view(bytes).setUint32(27, 0xffff_ffff, true);
    expect(parseReport(1, view(bytes), 'usb')?.motion).toEqual({ gyro: [1, -2, 32_767], accel: [-32_768, 8192, -8192], time: 0x5555_5555 });
  });

  it('has two fingers, in 12 bits each way', () => {
    // 1919 and 1079: the far corner; 0 and 540: the left edge, in the middle.
    const state = usb({ 32: 0x05, 33: 0x7f, 34: 0x77, 35: 0x43, 36: 0x7f, 37: 0x00, 38: 0xc0, 39: 0x21 });
    expect(state?.fingers).toEqual([{ contact: 5, x: 65_535, y: 65_535 }, { contact: 0x7f, x: 0, y: Math.round((540 / 1079) * 65_535) }]);
  });

  it('is measured by what the controller was built with', () => {
    const feature = new Uint8Array(41);
    feature[0] = 5;
    const values = [0, 0, 0, 8000, -8000, 8000, -8000, 4000, -4000, 500, 500, 8292, -8092, 8192, -8192, 8192, -8192];
    for (const [index, value] of values.entries()) view(feature).setInt16(1 + 2 * index, value, true);
    const calibration = calibrationOf(view(feature));
    const bytes = report();
    for (const [index, value] of [8000, 8000, 4000, 8292, 8192, -8192].entries()) view(bytes).setInt16(15 + 2 * index, value, true);
    // 500 degrees a second in sixteenths; what makes things fall, once.
    expect(parseReport(1, view(bytes), 'usb', calibration)?.motion).toEqual({ gyro: [8000, 8000, 8000], accel: [8192, 8192, -8192], time: 0 });
    // One that says nonsense is as all are built to be.
    for (const nonsense of [new Uint8Array(0), new Uint8Array(41), new Uint8Array([5, 1, 2])]) {
      expect(parseReport(1, view(report({ 15: 5 })), 'usb', calibrationOf(view(nonsense)))?.motion?.gyro).toEqual([5, 0, 0]);
    }
  });

  it('is short by Bluetooth before the whole is asked for', () => {
    const bytes = new Uint8Array([0, 128, 128, 255, 0x28, 0x01, 0x03, 9, 200]);
    expect(parseReport(1, view(bytes), 'bluetooth')).toEqual({
      pad: { buttons: 1 | (1 << 4) | (1 << 16), axes: [-32_767, 0, 0, 32_767], triggers: [9, 200] },
      motion: undefined, fingers: undefined, touchpad: true, mute: false,
    });
  });

  const none: readonly (readonly [string, number, Uint8Array<ArrayBuffer>, Wire])[] = [
    ['of another number', 2, report(), 'usb'],
    ['too short', 1, report().slice(0, 62), 'usb'],
    ['empty', 1, new Uint8Array(0), 'usb'],
    ['too short by Bluetooth', 1, new Uint8Array(8), 'bluetooth'],
    ['long and too short by Bluetooth', 0x31, byBluetooth(report()).slice(0, 76), 'bluetooth'],
    ['damaged', 0x31, byBluetooth(report()).map((byte, at) => (at === 5 ? byte ^ 1 : byte)), 'bluetooth'],
    ['of a sum that is damaged', 0x31, byBluetooth(report()).map((byte, at) => (at === 76 ? byte ^ 1 : byte)), 'bluetooth'],
  ];
  it.each(none)('is nothing in a report %s', (_, number, bytes, wire) => {
    expect(parseReport(number, view(bytes), wire)).toBeUndefined();
  });
});

describe('what a DualSense is told', () => {
  const told = (effects: DualSenseEffects): Readonly<Record<number, number>> => {
    const { number, bytes } = effectsReport(effects, 'usb', 0);
    expect([number, bytes.length]).toEqual([2, 47]);
    return Object.fromEntries([...bytes.entries()].filter(([, value]) => value !== 0));
  };
  const trigger = [0x21, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  const each: readonly (readonly [string, DualSenseEffects, Readonly<Record<number, number>>])[] = [
    ['nothing', {}, {}],
    ['rumble, the light motor first', { rumble: [200, 100] }, { 0: 3, 2: 100, 3: 200 }],
    ['no rumble', { rumble: [0, 0] }, { 0: 3 }],
    ['a colour', { light: [1, 2, 3] }, { 1: 4, 44: 1, 45: 2, 46: 3 }],
    ['which player', { players: 0xff }, { 1: 0x10, 43: 0x1f }],
    ['the right trigger', { right: trigger }, { 0: 4, ...Object.fromEntries(trigger.map((value, at) => [10 + at, value])) }],
    ['the left trigger', { left: trigger }, { 0: 8, ...Object.fromEntries(trigger.map((value, at) => [21 + at, value])) }],
    ['a trigger that is told too much', { left: [...trigger, 99] }, { 0: 8, ...Object.fromEntries(trigger.map((value, at) => [21 + at, value])) }],
  ];
  it.each(each)('%s', (_, effects, bytes) => { expect(told(effects)).toEqual(bytes); });

  it('goes by Bluetooth with a number and a sum', () => {
    for (const count of [0, 5, 16]) {
      const { number, bytes } = effectsReport({ light: [1, 2, 3] }, 'bluetooth', count);
      expect([number, bytes.length, bytes[0], bytes[1], bytes[3], bytes[46]]).toEqual([0x31, 77, (count & 15) << 4, 0x10, 4, 1]);
      expect(view(bytes).getUint32(73, true)).toBe(crc32([0xa2, 0x31], bytes.subarray(0, 73)));
    }
  });
});
