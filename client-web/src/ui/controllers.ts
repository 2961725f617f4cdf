// The box that tests gamepads and teaches what their buttons are. While it is open, gamepads are not the session's.
import type { Gamepads, PadLike } from '../input/gamepad.ts';
import { AXIS_NAMES, BUTTON_NAMES, moved, type Source } from '../input/remap.ts';
import { button, h } from './dom.ts';

/** What buttons and sticks are called where there is little room. */
const BUTTONS = ['A', 'B', 'X', 'Y', 'LB', 'RB', 'LT', 'RT', 'Select', 'Start', 'LS', 'RS', '↑', '↓', '←', '→', 'Home'] as const;
const AXES = ['Left stick ↔', 'Left stick ↕', 'Right stick ↔', 'Right stick ↕'] as const;
const ASKED = [...BUTTON_NAMES, ...AXIS_NAMES] as const;

type Raw = Pick<PadLike, 'axes' | 'buttons'>;

/** A gamepad that is being asked what its buttons are. */
interface Lesson {
  readonly index: number;
  readonly id: string;
  readonly rest: Raw;
  readonly found: (Source | null)[];
  /** What was pressed is to be let go of first. */
  held: boolean;
}

interface Row {
  readonly element: HTMLElement;
  readonly buttons: readonly HTMLElement[];
  readonly axes: readonly HTMLMeterElement[];
}

export class ControllersBox {
  readonly element = h('aside', { class: 'side controllers', 'aria-label': 'Controllers', hidden: true });
  private readonly list = h('ul', { 'aria-label': 'Controllers that are there' });
  private readonly none = h('p', {}, 'Press a button on a controller: browsers hide it until then.');
  private readonly question = h('p', { class: 'question', role: 'status' });
  private readonly lessonRow: HTMLElement;
  private readonly rows = new Map<string, Row>();
  private lesson: Lesson | undefined;
  private frame = 0;

  constructor(private readonly gamepads: Gamepads) {
    this.lessonRow = h('div', { class: 'row', hidden: true },
      button({ label: 'It has none', onClick: () => { this.learned(null); } }),
      button({ label: 'Stop', onClick: () => { this.endLesson(); } }));
    this.element.append(h('h2', {}, 'Controllers'), this.question, this.lessonRow, this.none, this.list);
  }

  get isOpen(): boolean {
    return !this.element.hidden;
  }

  /** A gamepad is asked what its buttons are. */
  get isTeaching(): boolean {
    return this.lesson !== undefined;
  }

  /** Opens or closes it; says which. */
  toggle(): boolean {
    this.element.hidden = !this.element.hidden;
    cancelAnimationFrame(this.frame);
    this.endLesson();
    if (this.isOpen) this.draw();
    return this.isOpen;
  }

  close(): void {
    cancelAnimationFrame(this.frame);
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
    const key = `${index} ${String(known)} ${String(mapped)} ${id}`;
    const old = this.rows.get(key);
    if (old !== undefined) return old;
    const buttons = BUTTONS.map((name) => h('span', {}, name));
    const axes = AXES.map((name) => h('meter', { min: -1, max: 1, 'aria-label': name }));
    const element = h('li', {},
      h('b', {}, id),
      known ? h('div', { class: 'buttons' }, ...buttons) : h('p', {}, 'The browser does not know its buttons.'),
      known ? h('div', { class: 'axes' }, ...axes) : undefined,
      h('div', { class: 'row' },
        button({ label: 'Rumble', name: `Rumble controller ${index + 1}`, onClick: () => { this.gamepads.test(index); } }),
        button({ label: 'Teach buttons', name: `Teach the buttons of controller ${index + 1}`, onClick: () => { this.teach(index); } }),
        mapped ? button({ label: 'Forget', name: `Forget the buttons of controller ${index + 1}`, onClick: () => { this.gamepads.setMap(id, undefined); } }) : undefined));
    const row = { element, buttons, axes };
    this.rows.set(key, row);
    return row;
  }

  private show({ buttons, axes }: Row, gamepad: PadLike): void {
    const said = this.gamepads.mapped(gamepad);
    for (const [number, element] of buttons.entries()) element.classList.toggle('down', said.buttons[number]?.pressed === true);
    for (const [number, meter] of axes.entries()) meter.value = said.axes[number] ?? 0;
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
    this.lesson = { index, id: gamepad.id, rest, found: [], held: true };
    this.ask();
  }

  /** Hears what the gamepad that is asked answers. */
  private listen(): void {
    const { lesson } = this;
    if (lesson === undefined) return;
    const gamepad = this.find(lesson.index);
    if (gamepad === undefined) {
      this.endLesson();
      return;
    }
    const source = moved(lesson.rest, gamepad);
    if (source === undefined) lesson.held = false;
    else if (!lesson.held) {
      lesson.held = true;
      this.learned(source);
    }
  }

  private learned(source: Source | null): void {
    const { lesson } = this;
    if (lesson === undefined) return;
    lesson.found.push(source);
    if (lesson.found.length < ASKED.length) {
      this.ask();
      return;
    }
    const { id, found } = lesson;
    this.gamepads.setMap(id, { buttons: found.slice(0, BUTTON_NAMES.length), axes: found.slice(BUTTON_NAMES.length) });
    this.endLesson();
  }

  private ask(): void {
    const at = this.lesson?.found.length ?? 0;
    this.question.textContent = `${at < BUTTON_NAMES.length ? 'Press' : 'Push'} ${ASKED[at] ?? ''}`;
    this.lessonRow.hidden = false;
  }

  private endLesson(): void {
    this.lesson = undefined;
    this.question.textContent = '';
    this.lessonRow.hidden = true;
  }
}
