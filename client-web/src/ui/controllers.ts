// The box that tests gamepads and teaches what their buttons are. While it is open, gamepads are not the session's.
import type { DualSenses } from '../input/dualsense/pads.ts';
import type { Gamepads, PadLike } from '../input/gamepad.ts';
import type { DualSenseState } from '../input/dualsense/report.ts';
import { Lesson } from '../input/remap.ts';
import type { InputTaken } from '../wire/index.ts';
import { button, h } from './dom.ts';

/** What buttons and sticks are called where there is little room. */
const BUTTONS = ['A', 'B', 'X', 'Y', 'LB', 'RB', 'LT', 'RT', 'Select', 'Start', 'LS', 'RS', '↑', '↓', '←', '→', 'Home'] as const;
const AXES = ['Left stick ↔', 'Left stick ↕', 'Right stick ↔', 'Right stick ↕'] as const;

/** How long effects are shown for. */
const EFFECTS_MS = 2_000;
/** A trigger that resists from a little way on, and one that does not. */
const RESISTS = [1, 40, 200, 0, 0, 0, 0, 0, 0, 0, 0] as const;
const LOOSE = [5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] as const;

/** Motion and fingers in words. */
function extrasOf({ motion, fingers }: DualSenseState): string {
  const turns = motion?.gyro.map((part) => `${Math.round(part / 16)}`).join(', ');
  const pulls = motion?.accel.map((part) => (part / 8192).toFixed(1)).join(', ');
  const places = fingers?.flatMap((finger) => (finger === null ? [] : [`${Math.round(finger.x / 655.35)} %, ${Math.round(finger.y / 655.35)} %`]));
  return [
    turns === undefined ? 'Its motion comes once it sends whole reports' : `Turns ${turns} °/s`,
    pulls === undefined ? '' : `pulls ${pulls} g`,
    places === undefined || places.length === 0 ? '' : `fingers at ${places.join(' and ')}`,
  ].filter(Boolean).join(' · ');
}

interface Row {
  readonly element: HTMLElement;
  readonly buttons: readonly HTMLElement[];
  readonly axes: readonly HTMLMeterElement[];
  /** What a DualSense says besides. */
  readonly extras: HTMLElement;
}

export class ControllersBox {
  readonly element = h('aside', { class: 'side controllers', 'aria-label': 'Controllers', hidden: true });
  private readonly heading = h('h2', { tabindex: -1 }, 'Controllers');
  private readonly list = h('ul', { 'aria-label': 'Controllers that are there' });
  private readonly none = h('p', {}, 'Press a button on a controller: browsers hide it until then.');
  private readonly question = h('p', { class: 'question', role: 'status' });
  /** What they are to what is played. */
  private readonly taken = h('p', { class: 'taken' });
  private readonly lessonRow: HTMLElement;
  private readonly rows = new Map<string, Row>();
  /** The gamepad that is being asked what its buttons are. */
  private taught: { readonly index: number; readonly id: string; readonly lesson: Lesson } | undefined;
  private frame = 0;

  constructor(private readonly gamepads: Gamepads, private readonly dualSenses: DualSenses) {
    this.lessonRow = h('div', { class: 'row', hidden: true },
      button({ label: 'It has none', onClick: () => { this.taught?.lesson.skip(performance.now()); } }),
      button({ label: 'Stop', onClick: () => { this.endLesson(); } }));
    const whole = h('div', { class: 'row' }, button({ label: 'Use all of a DualSense', onClick: () => { this.askForDualSense(); } }));
    whole.hidden = !dualSenses.canAsk;
    this.element.append(this.heading, this.question, this.lessonRow, this.none, this.list, whole, this.taken);
  }

  get isOpen(): boolean {
    return !this.element.hidden;
  }

  /** A gamepad is asked what its buttons are. */
  get isTeaching(): boolean {
    return this.taught !== undefined;
  }

  /** What the session makes of them. */
  tell({ pads, no_devices: why }: InputTaken): void {
    const what = { devices: 'The game has them as devices of its own.', library: 'The game has them through a library.', nothing: 'What is played takes no controllers.' }[pads];
    this.taken.textContent = why == null ? what : `${what} No devices of its own: ${why}.`;
  }

  /** Opens or closes it; says which. */
  toggle(): boolean {
    this.element.hidden = !this.element.hidden;
    cancelAnimationFrame(this.frame);
    this.endLesson();
    if (this.isOpen) {
      this.draw();
      // From the picture no key leads here.
      this.heading.focus();
    }
    return this.isOpen;
  }

  close(): void {
    cancelAnimationFrame(this.frame);
  }

  /** The gamepad that is being asked, if any is, keeps what it had. */
  endLesson(): void {
    this.taught = undefined;
    this.question.textContent = '';
    this.lessonRow.hidden = true;
  }

  private draw(): void {
    const { all } = this.gamepads;
    this.none.hidden = all.length > 0;
    const shown = all.map(({ gamepad }) => {
      const row = this.row(gamepad);
      this.show(row, gamepad);
      return row.element;
    });
    const same = shown.length === this.list.children.length && shown.every((row, at) => row === this.list.children.item(at));
    if (!same) this.list.replaceChildren(...shown);
    this.listen();
    this.frame = requestAnimationFrame(() => { this.draw(); });
  }

  /** Made once for each gamepad and what is known of it, so that its buttons keep the focus. */
  private row(gamepad: PadLike): Row {
    const { index, id } = gamepad;
    const [known, mapped] = [this.gamepads.isKnown(gamepad), this.gamepads.hasMap(id)];
    const key = `${index} ${String(known)} ${String(mapped)} ${String(this.dualSenses.stateOf(index) !== undefined)} ${id}`;
    const old = this.rows.get(key);
    if (old !== undefined) return old;
    const buttons = BUTTONS.map((name) => h('span', {}, name));
    const axes = AXES.map((name) => h('meter', { min: -1, max: 1, 'aria-label': name }));
    const extras = h('p', { class: 'extras' });
    const isWhole = this.dualSenses.stateOf(index) !== undefined;
    const element = h('li', {},
      h('b', {}, id),
      known ? h('div', { class: 'buttons' }, ...buttons) : h('p', {}, 'The browser does not know its buttons.'),
      known ? h('div', { class: 'axes' }, ...axes) : undefined,
      isWhole ? extras : undefined,
      h('div', { class: 'row' },
        button({ label: 'Rumble', name: `Rumble controller ${index + 1}`, onClick: () => { this.gamepads.test(index); } }),
        isWhole ? button({ label: 'Light and triggers', name: `Light and triggers of controller ${index + 1}`, onClick: () => { this.showEffects(index); } }) : undefined,
        button({ label: 'Teach buttons', name: `Teach the buttons of controller ${index + 1}`, onClick: () => { this.teach(index); } }),
        mapped ? button({ label: 'Forget', name: `Forget the buttons of controller ${index + 1}`, onClick: () => { this.gamepads.setMap(id, undefined); } }) : undefined));
    const row = { element, buttons, axes, extras };
    this.rows.set(key, row);
    return row;
  }

  private show({ buttons, axes, extras }: Row, gamepad: PadLike): void {
    const said = this.gamepads.mapped(gamepad);
    for (const [number, element] of buttons.entries()) element.classList.toggle('down', said.buttons[number]?.pressed === true);
    for (const [number, meter] of axes.entries()) meter.value = said.axes[number] ?? 0;
    const state = this.dualSenses.stateOf(gamepad.index);
    if (state !== undefined) extras.textContent = extrasOf(state);
  }

  /** The browser asks the user which one. */
  private askForDualSense(): void {
    this.dualSenses.ask().then(
      (name) => { this.question.textContent = name === undefined ? '' : `${name} is used with all that it has`; },
      () => { this.question.textContent = 'It could not be opened: another program may use it'; },
    );
  }

  /** Colours one, and has its triggers resist for as long. */
  private showEffects(index: number): void {
    this.dualSenses.test(index, { light: [255, 120, 0], players: 0b1_0101, left: RESISTS, right: RESISTS });
    setTimeout(() => { this.dualSenses.test(index, { light: [0, 0, 64], players: 0b0_0100, left: LOOSE, right: LOOSE }); }, EFFECTS_MS);
  }

  private find(index: number): PadLike | undefined {
    return this.gamepads.all.find(({ gamepad }) => gamepad.index === index)?.gamepad;
  }

  private teach(index: number): void {
    const gamepad = this.find(index);
    if (gamepad === undefined) return;
    // A copy: some browsers change the one that they gave.
    // What is pressed now pressed this button, and is let go of first.
    const rest = { axes: [...gamepad.axes], buttons: gamepad.buttons.map(() => ({ pressed: false, touched: false, value: 0 })) };
    this.taught = { index, id: gamepad.id, lesson: new Lesson(rest) };
    this.lessonRow.hidden = false;
  }

  /** Hears what the gamepad that is asked answers, and asks on. */
  private listen(): void {
    const { taught } = this;
    if (taught === undefined) return;
    const { index, id, lesson } = taught;
    const gamepad = this.find(index);
    if (gamepad !== undefined) lesson.look(performance.now(), gamepad);
    const { question, map } = lesson;
    if (map !== undefined) this.gamepads.setMap(id, map);
    if (gamepad === undefined || question === undefined) this.endLesson();
    else this.ask(`${question}. Where there is none, wait.`);
  }

  private ask(text: string): void {
    // What is told again is spoken again.
    if (this.question.textContent !== text) this.question.textContent = text;
  }
}
