// Input as it travels: one event a message, little endian, `kind: u8, number: u32, payload`. The table of
// payloads stands in media/src/input.rs; test/input-vectors.json holds both sides to it.
import type { InputSeq } from '../units.ts';

/** A pointer button, numbered as in DOM `MouseEvent.button`. */
export type PointerButton = 0 | 1 | 2 | 3 | 4;

export const TOUCH_PHASES = ['start', 'move', 'end', 'cancel'] as const;
export type TouchPhase = (typeof TOUCH_PHASES)[number];

export type InputEvent =
  /** A key by its place: usage on the keyboard page of the USB HID Usage Tables. */
  | { readonly kind: 'key'; readonly code: number; readonly pressed: boolean }
  | { readonly kind: 'button'; readonly button: PointerButton; readonly pressed: boolean }
  /** 0 is the left or upper edge of the picture, 65535 the other. */
  | { readonly kind: 'absolute'; readonly x: number; readonly y: number }
  /** Motion in all since the session began, in 1/16 pixel; wraps as an `i32`. */
  | { readonly kind: 'relative'; readonly totalX: number; readonly totalY: number }
  /** In 1/120 of a notch; positive is right and down. */
  | { readonly kind: 'wheel'; readonly x: number; readonly y: number }
  | {
      readonly kind: 'touch';
      readonly finger: number;
      readonly phase: TouchPhase;
      readonly x: number;
      readonly y: number;
      /** 0 to 65535. */
      readonly pressure: number;
    }
  /** At most 64 bytes of UTF-8 without control characters. */
  | { readonly kind: 'text'; readonly text: string }
  /** Every key, button and finger is up, and nobody touches a gamepad. */
  | { readonly kind: 'release-all' }
  | ({ readonly kind: 'gamepad'; readonly pad: number } & PadState)
  /** A DualSense says more than the standard mapping has. */
  | { readonly kind: 'gamepad-plugged'; readonly pad: number; readonly plugged: boolean; readonly dualSense?: boolean }
  | ({ readonly kind: 'pen' } & PenPlace)
  | ({ readonly kind: 'pad-motion'; readonly pad: number } & PadMotion)
  | ({ readonly kind: 'pad-touch'; readonly pad: number } & PadTouch);

/** Everything that a gamepad says, by the standard mapping. */
export interface PadState {
  /** A bit for each button that is down. */
  readonly buttons: number;
  /** Left stick across and down, right stick across and down: -32767 to 32767. */
  readonly axes: readonly [number, number, number, number];
  /** Left and right, 0 to 255. */
  readonly triggers: readonly [number, number];
}

/** Bits of what a pen does. */
export const PEN = { near: 1, tip: 2, barrel: 4, eraser: 8 } as const;

/** A pen, all of it. */
export interface PenPlace {
  /** 0 to 65535 across and down the picture. */
  readonly x: number;
  readonly y: number;
  /** 0 to 65535. */
  readonly pressure: number;
  /** Degrees from upright, to the right and to the user. */
  readonly tiltX: number;
  readonly tiltY: number;
  /** Degrees, 0 to 359. */
  readonly twist: number;
  /** Bits of {@link PEN}. */
  readonly state: number;
}

/** How a gamepad moves. */
export interface PadMotion {
  /** Around the axes to the right, up and to the player, in 1/16 degree a second. */
  readonly gyro: readonly [number, number, number];
  /** Along them, in 1/8192 of what makes things fall. */
  readonly accel: readonly [number, number, number];
  /** The gamepad's clock in microseconds, which wraps as a `u32`. */
  readonly time: number;
}

/** A finger on a gamepad's touchpad. */
export interface PadFinger {
  /** Counts contacts, modulo 128. */
  readonly contact: number;
  /** 0 to 65535 across and down. */
  readonly x: number;
  readonly y: number;
}

/** A gamepad's touchpad, all of it. */
export interface PadTouch {
  readonly pressed: boolean;
  readonly fingers: readonly [PadFinger | null, PadFinger | null];
}

export const MAX_TEXT_BYTES = 64;
const HEAD_BYTES = 5;
const utf8 = new TextEncoder();

/** The message of an event. */
export function encodeInput(seq: InputSeq, event: InputEvent): Uint8Array<ArrayBuffer> {
  switch (event.kind) {
    case 'key': {
      const view = message(1, seq, 3);
      view.setUint16(5, event.code, true);
      view.setUint8(7, event.pressed ? 1 : 0);
      return bytes(view);
    }
    case 'button': {
      const view = message(2, seq, 2);
      view.setUint8(5, event.button);
      view.setUint8(6, event.pressed ? 1 : 0);
      return bytes(view);
    }
    case 'absolute': {
      const view = message(3, seq, 4);
      view.setUint16(5, event.x, true);
      view.setUint16(7, event.y, true);
      return bytes(view);
    }
    case 'relative': {
      const view = message(4, seq, 8);
      view.setInt32(5, event.totalX, true);
      view.setInt32(9, event.totalY, true);
      return bytes(view);
    }
    case 'wheel': {
      const view = message(5, seq, 4);
      view.setInt16(5, event.x, true);
      view.setInt16(7, event.y, true);
      return bytes(view);
    }
    case 'touch': {
      const view = message(6, seq, 8);
      view.setUint8(5, event.finger);
      view.setUint8(6, TOUCH_PHASES.indexOf(event.phase));
      view.setUint16(7, event.x, true);
      view.setUint16(9, event.y, true);
      view.setUint16(11, event.pressure, true);
      return bytes(view);
    }
    case 'text': {
      const text = utf8.encode(event.text);
      const view = message(7, seq, text.length);
      const whole = bytes(view);
      whole.set(text, HEAD_BYTES);
      return whole;
    }
    case 'release-all':
      return bytes(message(8, seq, 0));
    case 'gamepad': {
      const view = message(9, seq, 15);
      view.setUint8(5, event.pad);
      view.setUint32(6, event.buttons, true);
      event.axes.forEach((axis, number) => { view.setInt16(10 + 2 * number, axis, true); });
      event.triggers.forEach((trigger, number) => { view.setUint8(18 + number, trigger); });
      return bytes(view);
    }
    case 'gamepad-plugged': {
      const view = message(10, seq, 2);
      view.setUint8(5, event.pad);
      view.setUint8(6, event.plugged ? (event.dualSense === true ? 2 : 1) : 0);
      return bytes(view);
    }
    case 'pen': {
      const view = message(11, seq, 11);
      [event.x, event.y, event.pressure].forEach((part, number) => { view.setUint16(5 + 2 * number, part, true); });
      view.setInt8(11, event.tiltX);
      view.setInt8(12, event.tiltY);
      view.setUint16(13, event.twist, true);
      view.setUint8(15, event.state);
      return bytes(view);
    }
    case 'pad-motion': {
      const view = message(12, seq, 17);
      view.setUint8(5, event.pad);
      [...event.gyro, ...event.accel].forEach((part, number) => { view.setInt16(6 + 2 * number, part, true); });
      view.setUint32(18, event.time, true);
      return bytes(view);
    }
    case 'pad-touch': {
      const view = message(13, seq, 12);
      view.setUint8(5, event.pad);
      view.setUint8(6, event.pressed ? 1 : 0);
      event.fingers.forEach((finger, number) => {
        const at = 7 + 5 * number;
        view.setUint8(at, finger?.contact ?? 0xff);
        view.setUint16(at + 1, finger?.x ?? 0, true);
        view.setUint16(at + 3, finger?.y ?? 0, true);
      });
      return bytes(view);
    }
  }
}

function message(kind: number, seq: InputSeq, payload: number): DataView<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(HEAD_BYTES + payload));
  view.setUint8(0, kind);
  view.setUint32(1, seq, true);
  return view;
}

function bytes(view: DataView<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(view.buffer);
}
