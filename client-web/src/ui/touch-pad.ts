// A gamepad on the screen, for fingers: it is to the session as one that is plugged in. Its parts can be arranged, and
// stay where they were put on this device.
import type { PadLike } from '../input/gamepad.ts';
import { button, h } from './dom.ts';

/** What fingers are, in words. */
export type TouchWay = 'look and move' | 'direct' | 'gamepad';

type Part =
  | { readonly kind: 'button'; readonly name: string; readonly label: string; readonly button: number }
  | { readonly kind: 'stick'; readonly name: string; readonly label: string; readonly axes: readonly [number, number] }
  | { readonly kind: 'cross'; readonly name: string; readonly label: string };

/** Middle of a part, in hundredths of the player's width and height. */
type Place = readonly [number, number];

/** Buttons of the directional pad: up, down, left, right. */
export const CROSS = [12, 13, 14, 15] as const;
/** Share of a cross's or stick's half that is its middle. */
const DEAD_ZONE = 0.25;

export const PARTS: readonly (readonly [Part, Place])[] = [
  [{ kind: 'stick', name: 'left-stick', label: 'Left stick', axes: [0, 1] }, [12, 62]],
  [{ kind: 'stick', name: 'right-stick', label: 'Right stick', axes: [2, 3] }, [72, 82]],
  [{ kind: 'cross', name: 'cross', label: 'Directions' }, [28, 82]],
  [{ kind: 'button', name: 'a', label: 'A', button: 0 }, [88, 72]],
  [{ kind: 'button', name: 'b', label: 'B', button: 1 }, [95, 60]],
  [{ kind: 'button', name: 'x', label: 'X', button: 2 }, [81, 60]],
  [{ kind: 'button', name: 'y', label: 'Y', button: 3 }, [88, 48]],
  [{ kind: 'button', name: 'lb', label: 'LB', button: 4 }, [14, 30]],
  [{ kind: 'button', name: 'rb', label: 'RB', button: 5 }, [86, 30]],
  [{ kind: 'button', name: 'lt', label: 'LT', button: 6 }, [5, 30]],
  [{ kind: 'button', name: 'rt', label: 'RT', button: 7 }, [95, 30]],
  [{ kind: 'button', name: 'ls', label: 'LS', button: 10 }, [26, 56]],
  [{ kind: 'button', name: 'rs', label: 'RS', button: 11 }, [62, 70]],
  [{ kind: 'button', name: 'select', label: 'Select', button: 8 }, [44, 92]],
  [{ kind: 'button', name: 'start', label: 'Start', button: 9 }, [56, 92]],
];

const KEY = 'nearlight.touch-pad';
/** No browser numbers a gamepad like this. */
const INDEX = 1_000;

/** Where a finger is on a stick, from -1 to 1 each way and no further from the middle than 1. */
export function pushed(dx: number, dy: number, radius: number): readonly [number, number] {
  const reach = Math.max(Math.hypot(dx, dy), radius);
  return [dx / reach, dy / reach];
}

/** Directions of a cross that are down: up, down, left, right. */
export function crossed(dx: number, dy: number): readonly [boolean, boolean, boolean, boolean] {
  if (Math.hypot(dx, dy) < DEAD_ZONE) return [false, false, false, false];
  // tan(22.5°): eight ways, each a sector of 45 degrees.
  const slope = Math.SQRT2 - 1;
  return [-dy > Math.abs(dx) * slope, dy > Math.abs(dx) * slope, -dx > Math.abs(dy) * slope, dx > Math.abs(dy) * slope];
}

/** What comes after it where a button goes through them: a gamepad only for what is played with one. */
export function touchAfter(way: TouchWay, takesPads: boolean): TouchWay {
  if (way === 'look and move') return 'direct';
  return way === 'direct' && takesPads ? 'gamepad' : 'look and move';
}

interface MutablePad extends PadLike {
  readonly axes: number[];
  readonly buttons: { pressed: boolean; touched: boolean; value: number }[];
}

export class TouchPad {
  readonly element = h('div', { class: 'touch-pad', hidden: true });
  private readonly pad: MutablePad = {
    index: INDEX,
    id: 'On the screen',
    connected: true,
    mapping: 'standard',
    axes: [0, 0, 0, 0],
    buttons: Array.from({ length: 17 }, () => ({ pressed: false, touched: false, value: 0 })),
  };
  private readonly places = rememberedPlaces();
  private readonly elements = new Map<string, HTMLElement>();
  private readonly arrange: HTMLButtonElement;
  private arranges = false;

  constructor() {
    for (const [part, place] of PARTS) this.add(part, place);
    this.arrange = button({ label: 'Arrange', kind: 'quiet', onClick: () => { this.setArranging(!this.arranges); } });
    this.element.append(h('div', { class: 'row' }, this.arrange, button({ label: 'Reset', kind: 'quiet', onClick: () => { this.reset(); } })));
  }

  /** The gamepad, while it is shown. */
  get gamepad(): PadLike | undefined {
    return this.element.hidden || this.arranges ? undefined : this.pad;
  }

  show(shown: boolean): void {
    this.element.hidden = !shown;
    this.setArranging(false);
  }

  /** No finger is on it any more, as far as is known. */
  private rest(): void {
    this.pad.axes.fill(0);
    for (let number = 0; number < this.pad.buttons.length; number += 1) this.press(number, false);
    for (const element of this.elements.values()) element.classList.remove('down');
  }

  private setArranging(arranges: boolean): void {
    this.rest();
    // Another finger may still hold a part.
    if (this.arranges && !arranges) rememberPlaces(this.places);
    this.arranges = arranges;
    this.element.classList.toggle('arranging', arranges);
    this.arrange.setAttribute('aria-pressed', String(arranges));
    this.arrange.querySelector('.label')?.replaceChildren(arranges ? 'Done' : 'Arrange');
  }

  private reset(): void {
    this.places.clear();
    rememberPlaces(this.places);
    for (const [{ name }, place] of PARTS) this.put(name, place);
  }

  private add(part: Part, place: Place): void {
    const element = h('div', { class: `part part-${part.kind}`, role: 'button', 'aria-label': part.label }, part.kind === 'button' ? part.label : h('i'));
    this.elements.set(part.name, element);
    this.put(part.name, this.places.get(part.name) ?? place);
    this.element.append(element);
    element.addEventListener('pointerdown', (event) => {
      event.preventDefault();
      element.setPointerCapture(event.pointerId);
      this.touched(part, element, event);
    });
    element.addEventListener('pointermove', (event) => {
      if (element.hasPointerCapture(event.pointerId)) this.touched(part, element, event);
    });
    // After a finger was lifted, and after the system took it away.
    element.addEventListener('lostpointercapture', () => { this.letGo(part, element); });
  }

  private put(name: string, [x, y]: Place): void {
    const element = this.elements.get(name);
    if (element === undefined) return;
    element.style.left = `${x}%`;
    element.style.top = `${y}%`;
  }

  private touched(part: Part, element: HTMLElement, { clientX, clientY }: PointerEvent): void {
    if (this.arranges) {
      const box = this.element.getBoundingClientRect();
      const within = (at: number, from: number, size: number): number => Math.round(Math.min(Math.max((at - from) / size, 0), 1) * 100);
      const place: Place = [within(clientX, box.left, box.width), within(clientY, box.top, box.height)];
      this.places.set(part.name, place);
      this.put(part.name, place);
      return;
    }
    element.classList.add('down');
    const box = element.getBoundingClientRect();
    const radius = box.width / 2;
    const [dx, dy] = [clientX - box.left - radius, clientY - box.top - box.height / 2];
    if (part.kind === 'button') this.press(part.button, true);
    else if (part.kind === 'stick') [this.pad.axes[part.axes[0]], this.pad.axes[part.axes[1]]] = pushed(dx, dy, radius);
    else for (const [at, down] of crossed(dx / radius, dy / radius).entries()) this.press(CROSS[at] ?? 0, down);
  }

  private letGo(part: Part, element: HTMLElement): void {
    if (this.arranges) {
      rememberPlaces(this.places);
      return;
    }
    element.classList.remove('down');
    if (part.kind === 'button') this.press(part.button, false);
    else if (part.kind === 'stick') for (const axis of part.axes) this.pad.axes[axis] = 0;
    else for (const number of CROSS) this.press(number, false);
  }

  private press(number: number, pressed: boolean): void {
    this.pad.buttons[number] = { pressed, touched: pressed, value: pressed ? 1 : 0 };
  }
}

function rememberedPlaces(): Map<string, Place> {
  try {
    const read: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    return new Map(Object.entries(read ?? {}).filter((entry): entry is [string, Place] => isPlace(entry[1])));
  } catch {
    // Storage may be turned off, or hold what is none of ours.
    return new Map();
  }
}

function rememberPlaces(places: ReadonlyMap<string, Place>): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(places)));
  } catch {
    // Then they are forgotten.
  }
}

function isPlace(value: unknown): boolean {
  const percent = (each: unknown): boolean => typeof each === 'number' && each >= 0 && each <= 100;
  return Array.isArray(value) && value.length === 2 && value.every(percent);
}
