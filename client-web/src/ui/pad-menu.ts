// The page by gamepad alone: what has the focus moves with the directional pad or the left stick, the lower button
// presses it, the right one leaves. Only where gamepads are not the session's.
import { stateOf, type PadLike } from '../input/gamepad.ts';

/** Time between looks. */
const LOOK_MS = 30;
/** What is held moves on after the first of these, and then after each of the second. */
const REPEAT_AFTER_MS = 450;
const REPEAT_MS = 130;
/** Held this long, select and start together open the menu, as the home button does: many browsers keep that. */
const OPEN_MS = 600;
/** A stick counts as a direction from here on, of 32767. */
const PUSHED = 20_000;

/** What a press on a gamepad is to the page. */
export type PadCommand = 'next' | 'previous' | 'press' | 'back' | 'open';

/** Bits of a state's buttons. */
const [A, B, SELECT, START, HOME] = [1, 1 << 1, 1 << 8, 1 << 9, 1 << 16];
const [UP, DOWN, LEFT, RIGHT] = [1 << 12, 1 << 13, 1 << 14, 1 << 15];

/** Turns what gamepads say into commands. Told the time; pure. */
export class PadCommands {
  private held: PadCommand | undefined;
  /** When what is held counts again. */
  private again = 0;
  private bothSince: number | undefined;
  private opened = false;

  /** What is commanded now, if anything is. */
  look(pads: readonly Pick<PadLike, 'axes' | 'buttons'>[], now: number): PadCommand | undefined {
    let [buttons, x, y] = [0, 0, 0];
    for (const pad of pads) {
      const state = stateOf(pad);
      buttons |= state.buttons;
      [x, y] = [x || state.axes[0], y || state.axes[1]];
    }
    const both = (buttons & SELECT) !== 0 && (buttons & START) !== 0;
    this.bothSince = both ? (this.bothSince ?? now) : undefined;
    const opens = (buttons & HOME) !== 0 || (this.bothSince !== undefined && now - this.bothSince >= OPEN_MS);
    if (opens && !this.opened) {
      this.opened = true;
      return 'open';
    }
    this.opened &&= opens;
    const next = (buttons & (DOWN | RIGHT)) !== 0 || x > PUSHED || y > PUSHED;
    const previous = (buttons & (UP | LEFT)) !== 0 || x < -PUSHED || y < -PUSHED;
    const command = next ? 'next' : previous ? 'previous' : (buttons & A) !== 0 ? 'press' : (buttons & B) !== 0 ? 'back' : undefined;
    if (command !== this.held) {
      this.held = command;
      this.again = now + REPEAT_AFTER_MS;
      return command;
    }
    if ((command === 'next' || command === 'previous') && now >= this.again) {
      this.again = now + REPEAT_MS;
      return command;
    }
    return undefined;
  }
}

export interface PadMenuOptions {
  readonly read: () => readonly Pick<PadLike, 'axes' | 'buttons'>[];
  /** What the focus moves in; nothing where gamepads are the session's. */
  readonly scope: () => HTMLElement | undefined;
  /** The menu of what is played is to open. */
  readonly onOpen: () => void;
  readonly onBack: () => void;
}

export class PadMenu {
  private readonly commands = new PadCommands();
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(private readonly options: PadMenuOptions) {
    this.timer = setInterval(() => { this.look(); }, LOOK_MS);
  }

  close(): void {
    clearInterval(this.timer);
  }

  private look(): void {
    if (!document.hasFocus() || document.visibilityState === 'hidden') return;
    const command = this.commands.look(this.options.read(), performance.now());
    if (command === undefined) return;
    const scope = this.options.scope();
    if (command === 'open') this.options.onOpen();
    else if (scope === undefined) return;
    else if (command === 'back') this.options.onBack();
    else if (command === 'press') {
      if (document.activeElement instanceof HTMLElement && scope.contains(document.activeElement)) document.activeElement.click();
    } else move(scope, command === 'next' ? 1 : -1);
  }
}

/** Moves the focus by one among what can have it. */
function move(scope: HTMLElement, by: 1 | -1): void {
  const all = [...scope.querySelectorAll<HTMLElement>('a[href], button, input, select')].filter(
    (each) => each.checkVisibility() && !(each as HTMLButtonElement).disabled && each.tabIndex >= 0,
  );
  const at = all.indexOf(document.activeElement as HTMLElement);
  const next = at === -1 ? (by === 1 ? 0 : all.length - 1) : (at + by + all.length) % all.length;
  const element = all[next];
  element?.focus();
  element?.scrollIntoView({ block: 'nearest' });
}
