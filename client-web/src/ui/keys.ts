// The box that moves keys: a key is pressed, then the one that it is to be for the game.
import { keyName, withKey, withoutKey, type KeyMap } from '../input/key-map.ts';
import { hidUsage } from '../input/hid.ts';
import { button, h } from './dom.ts';

export interface KeysActions {
  readonly map: () => KeyMap;
  readonly setMap: (map: KeyMap) => void;
}

export class KeysBox {
  readonly element = h('aside', { class: 'side keys', 'aria-label': 'Keys', hidden: true });
  private readonly question = h('p', { class: 'question', role: 'status' });
  private readonly list = h('ul', { 'aria-label': 'Keys that are others for the game' });
  private readonly add = button({ label: 'Change a key', onClick: () => { this.ask(undefined); } });
  private readonly stop = button({ label: 'Stop', onClick: () => { this.end(); } });
  /** A key is waited for: the one to press, or after that the one that it is to be. */
  private lesson: { readonly from: string | undefined } | undefined;

  constructor(private readonly does: KeysActions) {
    this.element.append(
      h('h2', {}, 'Keys'),
      h('p', {}, 'The game is told keys by their place on the keyboard. Here one key can be made another, for this game alone.'),
      this.question,
      h('div', { class: 'row' }, this.add, this.stop),
      this.list,
    );
    this.element.addEventListener('keydown', (event) => {
      if (this.lesson !== undefined) this.pressed(event);
    }, { capture: true });
    this.end();
  }

  get isOpen(): boolean {
    return !this.element.hidden;
  }

  /** Opens or closes it; says which. */
  toggle(): boolean {
    this.element.hidden = !this.element.hidden;
    this.end();
    if (this.isOpen) {
      this.show();
      this.add.focus();
    }
    return this.isOpen;
  }

  private ask(from: string | undefined): void {
    this.lesson = { from };
    this.question.textContent = from === undefined ? 'Press the key that you want to use' : `Press the key that ${keyName(from)} is to be for the game`;
    this.stop.hidden = false;
    this.stop.focus();
  }

  private pressed(event: KeyboardEvent): void {
    // What the browser does with it, and the button that has the focus, are not meant.
    event.preventDefault();
    event.stopPropagation();
    const { code, repeat } = event;
    if (repeat || hidUsage(code) === undefined) return;
    const from = this.lesson?.from;
    if (from === undefined) {
      this.ask(code);
      return;
    }
    this.does.setMap(withKey(this.does.map(), from, code));
    this.end();
    this.show();
    this.add.focus();
  }

  private end(): void {
    this.lesson = undefined;
    this.question.textContent = '';
    this.stop.hidden = true;
  }

  private show(): void {
    this.list.replaceChildren(...[...this.does.map()].map(([from, to]) => h('li', {},
      h('div', {}, h('kbd', {}, keyName(from)), ' is ', h('kbd', {}, keyName(to))),
      h('div', { class: 'row' }, button({
        label: 'Forget',
        name: `Forget what ${keyName(from)} is`,
        onClick: () => {
          this.does.setMap(withoutKey(this.does.map(), from));
          this.show();
          this.add.focus();
        },
      })))));
  }
}
