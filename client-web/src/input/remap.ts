// Gamepads whose buttons mean something else: because the browser has no standard mapping for them, or because a
// player wants it so. What each button and stick of the standard mapping is read from is learned by asking, and
// remembered on this device. Pure, but for the memory.
import type { PadLike } from './gamepad.ts';

/** Buttons of the standard mapping, as they are asked for. */
export const BUTTON_NAMES = [
  'the lower button (A, cross)', 'the right button (B, circle)', 'the left button (X, square)', 'the upper button (Y, triangle)',
  'the left shoulder', 'the right shoulder', 'the left trigger', 'the right trigger', 'select', 'start',
  'the left stick, pressed', 'the right stick, pressed', 'up', 'down', 'left', 'right', 'home',
] as const;
export const AXIS_NAMES = ['the left stick to the right', 'the left stick down', 'the right stick to the right', 'the right stick down'] as const;

/** A button, or an axis that leaves where it rests in a direction. */
export type Source =
  | { readonly from: 'button'; readonly index: number }
  | { readonly from: 'axis'; readonly index: number; readonly rest: number; readonly sign: 1 | -1 };

/** Where each is read from; nothing where there is none. */
export interface PadMap {
  readonly buttons: readonly (Source | null)[];
  readonly axes: readonly (Source | null)[];
}

type Raw = Pick<PadLike, 'axes' | 'buttons'>;

/** An axis counts as moved this far from where it rests. */
const MOVED = 0.5;
/** A button that is an axis counts as pressed from here on, as browsers have it for triggers. */
const PRESSED = 30 / 255;
/** More sources than any gamepad has. */
const MOST_INDEX = 127;
const KEY = 'nearlight.gamepads';

/** What was pressed or moved since `before`, if anything was. */
export function moved(before: Raw, now: Raw): Source | undefined {
  const button = now.buttons.findIndex(({ pressed }, index) => pressed && before.buttons[index]?.pressed !== true);
  if (button !== -1) return { from: 'button', index: button };
  for (const [index, value] of now.axes.entries()) {
    const rest = before.axes[index] ?? 0;
    if (Math.abs(value - rest) > MOVED) return { from: 'axis', index, rest, sign: value > rest ? 1 : -1 };
  }
  return undefined;
}

/** How far a source is from rest, 0 to 1; axes also the other way. */
function amount(raw: Raw, source: Source | null | undefined): number {
  if (source == null) return 0;
  if (source.from === 'button') return raw.buttons[source.index]?.value ?? 0;
  const { index, rest, sign } = source;
  // One that rests at an end has twice the way.
  return ((raw.axes[index] ?? rest) - rest) * sign / Math.max(1 - rest * sign, 1);
}

/** Who presses nothing for so long has no such button: with a gamepad alone that is all that can be said. Milliseconds. */
const SILENCE_MS = 10_000;
const QUESTIONS = [...BUTTON_NAMES.map((name) => `Press ${name}`), ...AXIS_NAMES.map((name) => `Push ${name}`)] as const;

/** Asks a gamepad what its buttons and sticks are, one after the other. Told the time; pure. */
export class Lesson {
  private readonly found: (Source | null)[] = [];
  /** What was pressed is to be let go of first. */
  private held = true;
  /** Since when nothing is. */
  private since = Number.POSITIVE_INFINITY;

  /** `rest`: as it is while nobody touches it. */
  constructor(private readonly rest: Raw) {}

  /** What is asked for now; nothing once all is known. */
  get question(): string | undefined {
    return QUESTIONS[this.found.length];
  }

  /** What was learned, once all is known; nothing of one that never answered. */
  get map(): PadMap | undefined {
    const { found } = this;
    if (this.question !== undefined || found.every((source) => source === null)) return undefined;
    return { buttons: found.slice(0, BUTTON_NAMES.length), axes: found.slice(BUTTON_NAMES.length) };
  }

  /** It is like this now. */
  look(now: number, raw: Raw): void {
    const source = moved(this.rest, raw);
    if (source !== undefined) {
      if (!this.held) this.answer(source);
      this.held = true;
      return;
    }
    if (this.held) this.since = now;
    this.held = false;
    if (now - this.since >= SILENCE_MS) this.skip(now);
  }

  /** It has none of what is asked for. */
  skip(now: number): void {
    this.since = now;
    this.answer(null);
  }

  private answer(source: Source | null): void {
    if (this.question !== undefined) this.found.push(source);
  }
}

/** A gamepad as the standard mapping has it. */
export function mapped(raw: Raw, map: PadMap): Raw {
  const buttons = BUTTON_NAMES.map((_, number) => {
    const source = map.buttons[number];
    const value = Math.min(Math.max(amount(raw, source), 0), 1);
    const pressed = source?.from === 'button' ? raw.buttons[source.index]?.pressed === true : value > PRESSED;
    return { value, pressed, touched: pressed };
  });
  return { buttons, axes: AXIS_NAMES.map((_, number) => amount(raw, map.axes[number])) };
}

/** What is remembered, by the browser's names of gamepads. */
export function rememberedMaps(): ReadonlyMap<string, PadMap> {
  try {
    const read: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    if (typeof read !== 'object' || read === null) return new Map();
    return new Map(Object.entries(read).filter((entry): entry is [string, PadMap] => isMap(entry[1])));
  } catch {
    // Storage may be turned off, or hold what is none of ours.
    return new Map();
  }
}

export function rememberMaps(maps: ReadonlyMap<string, PadMap>): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(maps)));
  } catch {
    // Then they are forgotten.
  }
}

function isMap(value: unknown): value is PadMap {
  const { buttons, axes } = (value ?? {}) as Partial<Record<keyof PadMap, unknown>>;
  return isList(buttons, BUTTON_NAMES.length) && isList(axes, AXIS_NAMES.length);
}

function isList(value: unknown, length: number): boolean {
  return Array.isArray(value) && value.length === length && value.every((each) => each === null || isSource(each));
}

function isSource(value: unknown): value is Source {
  const { from, index, rest, sign } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index > MOST_INDEX) return false;
  if (from === 'button') return true;
  return from === 'axis' && typeof rest === 'number' && Math.abs(rest) <= 1 && (sign === 1 || sign === -1);
}
