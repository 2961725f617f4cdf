import { afterEach, describe, expect, it, vi } from 'vitest';
import { crc32 } from '../src/input/dualsense/crc32.ts';
import type { HidDevice } from '../src/input/dualsense/device.ts';
import { DualSenses } from '../src/input/dualsense/pads.ts';
import { calibrationOf, effectsReport, parseReport, type DualSenseEffects, type Wire } from '../src/input/dualsense/report.ts';
import type { InputEvent } from '../src/input/encode.ts';
import type { InputSender } from '../src/input/sender.ts';
import { parseServerMessage } from '../src/wire/control.ts';

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

/** As WebHID has one: what it is told is kept, its number first. */
class FakeDevice extends EventTarget implements HidDevice {
  opened = false;
  readonly vendorId = 0x054c;
  readonly productId = 0x0ce6;
  readonly productName = 'a double of a DualSense';
  readonly collections: HidDevice['collections'];
  readonly told: number[][] = [];

  constructor(private readonly wire: Wire) {
    super();
    this.collections = [{ outputReports: [{ reportId: wire === 'usb' ? 2 : 0x31 }] }];
  }

  open(): Promise<void> {
    this.opened = true;
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.opened = false;
    return Promise.resolve();
  }

  sendReport(number: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.told.push([number, ...bytes]);
    return Promise.resolve();
  }

  receiveFeatureReport(): Promise<DataView> {
    return Promise.resolve(view(new Uint8Array(41)));
  }

  /** Says that it is at rest, but for this. */
  say(change: Readonly<Record<number, number>>): void {
    const bytes = report(change);
    const said = this.wire === 'usb' ? { reportId: 1, data: view(bytes) } : { reportId: 0x31, data: view(byBluetooth(bytes)) };
    this.dispatchEvent(Object.assign(new Event('inputreport'), said));
  }
}

describe.each(['usb', 'bluetooth'] as const)('a DualSense that the page was given, by %s', (wire) => {
  afterEach(() => { vi.unstubAllGlobals(); });

  const setUp = async () => {
    const device = new FakeDevice(wire);
    const from = Object.assign(new EventTarget(), { getDevices: () => Promise.resolve([]), requestDevice: () => Promise.resolve([device]) });
    vi.stubGlobal('navigator', { hid: from });
    const session: { pad: number | undefined; taken: boolean; accepts: boolean; now: number } = { pad: 2, taken: true, accepts: true, now: 0 };
    const sent: InputEvent[] = [];
    const put = (event: InputEvent): boolean => session.accepts && sent.push(event) > 0;
    const sender: Pick<InputSender, 'send' | 'sendMotion'> = { send: put, sendMotion: put };
    const dualSenses = new DualSenses(sender as InputSender, { padOf: () => session.pad, taken: () => session.taken, now: () => session.now });
    await dualSenses.ask();
    return { device, from, session, dualSenses, take: () => sent.splice(0) };
  };
  /** Reports go out one after the other, each when the one before has gone. */
  const settled = () => new Promise((resolve) => { setTimeout(resolve, 0); });

  const MOVED = { 15: 5, 24: 0x20, 27: 30 };
  const TOUCHED = { 32: 5, 33: 0x7f, 34: 0x77, 35: 0x43 };
  const motion: InputEvent = { kind: 'pad-motion', pad: 2, gyro: [5, 0, 0], accel: [0, 8192, 0], time: 10 };
  const touch = (pressed: boolean): InputEvent => ({ kind: 'pad-touch', pad: 2, pressed, fingers: [{ contact: 5, x: 65_535, y: 65_535 }, null] });

  it('says each touch once, and how it moves every four milliseconds', async () => {
    const { device, session, take } = await setUp();
    device.say({ ...MOVED, ...TOUCHED });
    expect(take()).toEqual([touch(false), motion]);
    session.now = 3;
    device.say({ ...MOVED, ...TOUCHED });
    expect(take()).toEqual([]);
    device.say({ ...MOVED, ...TOUCHED, 9: 2 });
    expect(take()).toEqual([touch(true)]);
    session.now = 4;
    device.say({ ...MOVED, ...TOUCHED, 9: 2 });
    expect(take()).toEqual([motion]);
  });

  it('says again what was not sent, and what the session forgot', async () => {
    const { device, session, dualSenses, take } = await setUp();
    session.accepts = false;
    device.say({ ...MOVED, ...TOUCHED });
    session.accepts = true;
    device.say({ ...MOVED, ...TOUCHED });
    expect(take()).toEqual([touch(false), motion]);
    dualSenses.forget();
    device.say({ ...MOVED, ...TOUCHED });
    expect(take()).toEqual([touch(false)]);
  });

  it('says neither to a session that takes none, or before it is the session’s', async () => {
    const { device, session, dualSenses, take } = await setUp();
    session.taken = false;
    device.say({ ...MOVED, ...TOUCHED });
    Object.assign(session, { taken: true, pad: undefined });
    device.say({ ...MOVED, ...TOUCHED });
    expect(take()).toEqual([]);
    expect(dualSenses.stateOf(200)?.motion?.gyro).toEqual([5, 0, 0]);
  });

  it('is told what the node says of its number, and nothing once it went', async () => {
    const { device, from, dualSenses, take } = await setUp();
    const says = (effects: object): void => {
      const message = parseServerMessage(JSON.stringify({ type: 'pad_effects', ...effects }));
      if (message?.type !== 'pad_effects') throw new TypeError('no message of the node’s');
      dualSenses.tell(message);
    };
    const trigger = [0x21, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    says({ pad: 1, light: [9, 9, 9] });
    says({ pad: 2, light: [1, 2, 3], players: null, left: null, right: trigger });
    says({ pad: 2, players: 4, left: trigger });
    await settled();
    const number = wire === 'usb' ? 2 : 0x31;
    const start = wire === 'usb' ? 1 : 3;
    expect(device.told.map(([first]) => first)).toEqual([number, number]);
    const [lit, resists] = device.told.map((bytes) => bytes.slice(start, start + 47));
    expect(lit?.slice(0, 2)).toEqual([0b0100, 0b0100]);
    expect([lit?.slice(10, 21), lit?.slice(44)]).toEqual([trigger, [1, 2, 3]]);
    expect(resists?.slice(0, 2)).toEqual([0b1000, 0b1_0000]);
    expect([resists?.slice(21, 32), resists?.[43]]).toEqual([trigger, 4]);

    from.dispatchEvent(Object.assign(new Event('disconnect'), { device }));
    await settled();
    // Triggers and motors are let go of.
    expect([device.told.length, device.told[2]?.[start], device.opened]).toEqual([3, 0b1111, false]);
    device.say(MOVED);
    says({ pad: 2, light: [1, 2, 3] });
    await settled();
    expect([take(), device.told.length]).toEqual([[], 3]);
  });
});
