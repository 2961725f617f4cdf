// The page by gamepad alone: what has the focus moves with the directional pad or the left stick, left and right choose where it is
// one of several, the lower button presses it, the right one leaves. Only where gamepads are not the session's.
import { stateOf, type PadLike } from '../input/gamepad.ts';
import { isText, PadKeys, type Way } from './pad-keys.ts';

/** Time between looks. */
const LOOK_MS = 30;
/** What is held moves on after the first of these, and then after each of the second. */
const REPEAT_AFTER_MS = 450;
const REPEAT_MS = 130;
/** Held this long, select and start together open the menu, as the home button does: many browsers keep that. */
const OPEN_MS = 600;
/** Who presses fast in a game presses again before so many looks in a row found nothing held. */
const REST_LOOKS = 16;
/** A stick counts as a direction from here on, of 32767. */
const PUSHED = 20_000;

/** What a press on a gamepad is to the page. */
export type PadCommand = Way | 'press' | 'back' | 'open';

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
  /** Looks that must find nothing held before anything is commanded. */
  private waits = 0;

  /** What is held and pressed on is meant for what was there before: nothing is commanded until gamepads rest for a moment. */
  waitForRest(): void {
    this.held = undefined;
    this.waits = REST_LOOKS;
  }

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
    const command = wayOf(buttons, x, y) ?? ((buttons & A) !== 0 ? 'press' : (buttons & B) !== 0 ? 'back' : undefined);
    if (this.waits > 0) {
      this.waits = command === undefined ? this.waits - 1 : REST_LOOKS;
      return undefined;
    }
    if (command !== this.held) {
      this.held = command;
      this.again = now + REPEAT_AFTER_MS;
      return command;
    }
    if (command !== undefined && command !== 'press' && command !== 'back' && now >= this.again) {
      this.again = now + REPEAT_MS;
      return command;
    }
    return undefined;
  }
}

/** Where the directional pad or the stick points. */
function wayOf(buttons: number, x: number, y: number): Way | undefined {
  if ((buttons & DOWN) !== 0 || y > PUSHED) return 'down';
  if ((buttons & UP) !== 0 || y < -PUSHED) return 'up';
  if ((buttons & RIGHT) !== 0 || x > PUSHED) return 'right';
  return (buttons & LEFT) !== 0 || x < -PUSHED ? 'left' : undefined;
}

export interface PadMenuOptions {
  readonly read: () => readonly Pick<PadLike, 'axes' | 'buttons'>[];
  /** What the focus moves in; nothing where gamepads are the session's. */
  readonly scope: () => HTMLElement | undefined;
  /** A gamepad is used, whoever's it is: a browser may let more be done then. */
  readonly onUse: () => void;
  /** The menu of what is played is to open. */
  readonly onOpen: () => void;
  readonly onBack: () => void;
}

export class PadMenu {
  private readonly commands = new PadCommands();
  private readonly keys = new PadKeys();

  constructor(private readonly options: PadMenuOptions) {
    // It is there for as long as the page is.
    setInterval(() => { this.look(); }, LOOK_MS);
  }

  /** See {@link PadCommands.waitForRest}. */
  waitForRest(): void {
    this.commands.waitForRest();
  }

  private look(): void {
    if (!document.hasFocus() || document.visibilityState === 'hidden') return;
    const command = this.commands.look(this.options.read(), performance.now());
    if (command === undefined) return;
    this.options.onUse();
    const scope = this.options.scope();
    if (command === 'open') this.options.onOpen();
    else if (this.keys.isOpen) this.write(command);
    else if (scope === undefined) return;
    else if (command === 'back') this.options.onBack();
    else if (command === 'press') this.press(scope);
    else go(scope, command);
  }

  private write(command: Exclude<PadCommand, 'open'>): void {
    if (command === 'back') this.keys.close();
    else if (command === 'press') this.keys.press();
    else this.keys.go(command);
  }

  private press(scope: HTMLElement): void {
    const focused = focusedIn(scope);
    if (focused === undefined) return;
    if (isText(focused)) this.keys.open(focused);
    // A list that is clicked by a program does not open.
    else if (focused instanceof HTMLSelectElement) choose(focused, (focused.selectedIndex + 1) % focused.options.length);
    else focused.click();
  }
}

/** What has the focus, where that is within this. */
function focusedIn(scope: HTMLElement): HTMLElement | undefined {
  const { activeElement } = document;
  return activeElement instanceof HTMLElement && scope.contains(activeElement) ? activeElement : undefined;
}

function go(scope: HTMLElement, way: Way): void {
  const focused = focusedIn(scope);
  if (focused !== undefined && (way === 'left' || way === 'right') && turned(focused, way)) return;
  move(scope, way === 'down' || way === 'right' ? 1 : -1);
}

/** Chooses what is beside what is chosen; says whether there is such a choice here. */
function turned(element: HTMLElement, way: 'left' | 'right'): boolean {
  const by = way === 'right' ? 1 : -1;
  if (element instanceof HTMLSelectElement) {
    choose(element, Math.min(Math.max(element.selectedIndex + by, 0), element.options.length - 1));
    return true;
  }
  if (element instanceof HTMLInputElement && element.type === 'range') {
    if (by === 1) element.stepUp();
    else element.stepDown();
    element.dispatchEvent(new Event('input', { bubbles: true }));
    return true;
  }
  // The rows of the session's menu hear keys, and take those that they make something of.
  const key = way === 'right' ? 'ArrowRight' : 'ArrowLeft';
  return element.getAttribute('role') === 'menuitem' && !element.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
}

function choose(list: HTMLSelectElement, index: number): void {
  list.selectedIndex = index;
  list.dispatchEvent(new Event('change', { bubbles: true }));
}

/** Moves the focus by one among what can have it; from what cannot, to what comes after that or before. */
function move(scope: HTMLElement, by: 1 | -1): void {
  const all = [...scope.querySelectorAll<HTMLElement>('a[href], button, input, select, summary')].filter(
    (each) => each.checkVisibility() && !(each as HTMLButtonElement).disabled && each.tabIndex >= 0,
  );
  const focused = focusedIn(scope);
  const at = all.findIndex((each) => each === focused);
  const after = focused === undefined ? 0 : all.filter((each) => (focused.compareDocumentPosition(each) & Node.DOCUMENT_POSITION_FOLLOWING) === 0).length;
  const to = at !== -1 ? at + by : by === 1 ? after : after - 1;
  const element = all[(to + all.length) % all.length];
  element?.focus();
  element?.scrollIntoView({ block: 'nearest' });
}
