// Reports of Sony's DualSense and DualSense Edge: what they say, and what they are told. Pure. Layouts are those of
// Linux's driver (drivers/hid/hid-playstation.c, `dualsense_input_report` and `dualsense_output_report_common`); those of
// adaptive triggers, which that driver leaves alone, are at their known places within the bytes that it reserves.
import type { PadFinger, PadMotion, PadState } from '../encode.ts';
import { crc32 } from './crc32.ts';

export const SONY = 0x054c;
/** DualSense, DualSense Edge. */
export const PRODUCTS = [0x0ce6, 0x0df2] as const;

export type Wire = 'usb' | 'bluetooth';

export interface DualSenseState {
  readonly pad: PadState;
  /** Absent from the short reports that come by Bluetooth until the long ones are asked for. */
  readonly motion: PadMotion | undefined;
  readonly fingers: readonly [PadFinger | null, PadFinger | null] | undefined;
  /** The touchpad is pressed, and the button that turns the microphone off. */
  readonly touchpad: boolean;
  readonly mute: boolean;
}

/** What a controller is told; what is absent stays as it is. */
export interface DualSenseEffects {
  /** Heavy and light motor, 0 to 255. */
  readonly rumble?: readonly [number, number] | undefined;
  /** Red, green, blue. */
  readonly light?: readonly [number, number, number] | undefined;
  /** A bit for each of the five lights below the touchpad. */
  readonly players?: number | undefined;
  /** Eleven bytes each: a mode, and what it is given. */
  readonly left?: readonly number[] | undefined;
  readonly right?: readonly number[] | undefined;
}

/** Bytes of a report without its number: whole ones by USB and by Bluetooth, and the short one by Bluetooth. */
const USB_INPUT = 63;
const BLUETOOTH_INPUT = 77;
const SHORT_INPUT = 9;
/** Bytes that an output report says things in. */
const COMMON_OUTPUT = 47;
const BLUETOOTH_OUTPUT = 77;
/** Bytes of what a trigger is told. */
export const TRIGGER = 11;
/** Pixels of the touchpad. */
const TOUCHPAD = [1920, 1080] as const;
/** What sums of Bluetooth reports begin with: those that it says, and those that it is told. */
const SAYS = 0xa1;
const IS_TOLD = 0xa2;

/** Where a button of the standard mapping is: byte after the sticks and triggers, and bit. */
const BUTTONS: readonly (readonly [number, number, number])[] = [
  [0, 0, 5], [1, 0, 6], [2, 0, 4], [3, 0, 7], // cross, circle, square, triangle
  [4, 1, 0], [5, 1, 1], [6, 1, 2], [7, 1, 3], // L1, R1, L2, R2
  [8, 1, 4], [9, 1, 5], [10, 1, 6], [11, 1, 7], // create, options, L3, R3
  [16, 2, 0], // PS
];
/** Buttons 12 to 15 (up, down, left, right) in each of the eight directions, from up clockwise. */
const HAT: readonly number[] = [0b0001, 0b1001, 0b1000, 0b1010, 0b0010, 0b0110, 0b0100, 0b0101];

/** How raw values of a controller become units. */
export interface Calibration {
  readonly gyro: readonly (readonly [bias: number, scale: number])[];
  readonly accel: readonly (readonly [bias: number, scale: number])[];
}

const NOMINAL: Calibration = {
  // 2^15 are 2048 degrees a second, or 4 times what makes things fall.
  gyro: [[0, 1], [0, 1], [0, 1]],
  accel: [[0, 1], [0, 1], [0, 1]],
};

/** Reads feature report 5, with its number before it or without; what cannot be is what controllers are built to. */
export function calibrationOf(report: DataView): Calibration {
  const start = report.byteLength > 0 && report.getUint8(0) === 5 ? 1 : 0;
  if (report.byteLength < start + 34) return NOMINAL;
  const at = (index: number): number => report.getInt16(start + 2 * index, true);
  const speed = at(9) + at(10);
  const gyro = [0, 1, 2].map((axis) => {
    const bias = at(axis);
    const range = Math.abs(at(3 + 2 * axis) - bias) + Math.abs(at(4 + 2 * axis) - bias);
    // Sixteenths of a degree.
    return [0, range === 0 || speed <= 0 ? 1 : (speed * 16) / range] as const;
  });
  const accel = [0, 1, 2].map((axis) => {
    const [plus, minus] = [at(11 + 2 * axis), at(12 + 2 * axis)];
    const range = plus - minus;
    return range <= 0 ? ([0, 1] as const) : ([plus - range / 2, (2 * 8192) / range] as const);
  });
  return { gyro, accel };
}

/** What a report says; undefined where it is none of a controller's state, or came damaged. */
export function parseReport(number: number, report: DataView, wire: Wire, calibration: Calibration = NOMINAL): DualSenseState | undefined {
  if (wire === 'usb') return number === 0x01 && report.byteLength >= USB_INPUT ? whole(report, 0, calibration) : undefined;
  if (number === 0x01 && report.byteLength >= SHORT_INPUT) return short(report);
  if (number !== 0x31 || report.byteLength < BLUETOOTH_INPUT) return undefined;
  const bytes = new Uint8Array(report.buffer, report.byteOffset, BLUETOOTH_INPUT - 4);
  if (crc32([SAYS, number], bytes) !== report.getUint32(BLUETOOTH_INPUT - 4, true)) return undefined;
  return whole(report, 1, calibration);
}

function whole(report: DataView, start: number, { gyro, accel }: Calibration): DualSenseState {
  const at = (offset: number): number => report.getUint8(start + offset);
  const three = (offset: number, by: Calibration['gyro']): readonly [number, number, number] => {
    const axis = (number: 0 | 1 | 2): number => {
      const [bias, scale] = by[number] ?? [0, 1];
      return Math.round(Math.min(Math.max((report.getInt16(start + offset + 2 * number, true) - bias) * scale, -32_768), 32_767));
    };
    return [axis(0), axis(1), axis(2)];
  };
  return {
    pad: padOf([at(0), at(1), at(2), at(3)], [at(4), at(5)], [at(7), at(8), at(9)]),
    // Its clock counts thirds of a microsecond.
    motion: { gyro: three(15, gyro), accel: three(21, accel), time: Math.floor(report.getUint32(start + 27, true) / 3) },
    fingers: [finger(report, start + 32), finger(report, start + 36)],
    touchpad: (at(9) & 2) !== 0,
    mute: (at(9) & 4) !== 0,
  };
}

function short(report: DataView): DualSenseState {
  const at = (offset: number): number => report.getUint8(offset);
  return {
    pad: padOf([at(0), at(1), at(2), at(3)], [at(7), at(8)], [at(4), at(5), at(6)]),
    motion: undefined,
    fingers: undefined,
    touchpad: (at(6) & 2) !== 0,
    mute: false,
  };
}

function padOf(sticks: readonly [number, number, number, number], triggers: readonly [number, number], bytes: readonly [number, number, number]): PadState {
  // 128 is the middle, though 127 is as near.
  const axis = (value: number): number => Math.round(Math.min(Math.max((value - 128) / 127, -1), 1) * 32_767);
  let buttons = (HAT[bytes[0] & 15] ?? 0) << 12;
  for (const [button, byte, bit] of BUTTONS) if (((bytes[byte] ?? 0) & (1 << bit)) !== 0) buttons |= 1 << button;
  return { buttons, axes: [axis(sticks[0]), axis(sticks[1]), axis(sticks[2]), axis(sticks[3])], triggers };
}

function finger(report: DataView, at: number): PadFinger | null {
  const contact = report.getUint8(at);
  if ((contact & 0x80) !== 0) return null;
  const packed = report.getUint8(at + 1) | (report.getUint8(at + 2) << 8) | (report.getUint8(at + 3) << 16);
  const place = (pixel: number, edge: number): number => Math.round((Math.min(pixel, edge - 1) / (edge - 1)) * 65_535);
  return { contact, x: place(packed & 0xfff, TOUCHPAD[0]), y: place(packed >> 12, TOUCHPAD[1]) };
}

/** The report that tells a controller to do something, and its number; `count` numbers those by Bluetooth. */
export function effectsReport(effects: DualSenseEffects, wire: Wire, count: number): { readonly number: number; readonly bytes: Uint8Array<ArrayBuffer> } {
  const { rumble, light, players, left, right } = effects;
  const common = new Uint8Array(COMMON_OUTPUT);
  if (rumble !== undefined) {
    // Motors as older controllers had them.
    common[0] = (common[0] ?? 0) | 0b11;
    common.set([rumble[1], rumble[0]], 2);
  }
  if (right !== undefined) {
    common[0] = (common[0] ?? 0) | 0b0100;
    common.set(right.slice(0, TRIGGER), 10);
  }
  if (left !== undefined) {
    common[0] = (common[0] ?? 0) | 0b1000;
    common.set(left.slice(0, TRIGGER), 10 + TRIGGER);
  }
  if (light !== undefined) {
    common[1] = (common[1] ?? 0) | 0b0100;
    common.set(light, 44);
  }
  if (players !== undefined) {
    common[1] = (common[1] ?? 0) | 0b1_0000;
    common[43] = players & 0x1f;
  }
  if (wire === 'usb') return { number: 0x02, bytes: common };
  const bytes = new Uint8Array(BLUETOOTH_OUTPUT);
  bytes.set([(count & 15) << 4, 0x10]);
  bytes.set(common, 2);
  const sum = crc32([IS_TOLD, 0x31], bytes.subarray(0, BLUETOOTH_OUTPUT - 4));
  new DataView(bytes.buffer).setUint32(BLUETOOTH_OUTPUT - 4, sum, true);
  return { number: 0x31, bytes };
}
