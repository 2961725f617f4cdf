// The menu of a session, over its picture: everything in it can be reached by arrows, Enter and Escape alone, so
// by a gamepad too. Who has something to offer adds an item (`add`).
import { h } from './dom.ts';

interface Item {
  /** Names it within the menu. */
  readonly id: string;
  readonly label: string;
}

/** Does something, and closes the menu. */
export interface MenuAction extends Item {
  readonly onChoose: () => void;
}

/** One of several; left and right go through them. */
export interface MenuChoice extends Item {
  readonly options: readonly { readonly value: string; readonly label: string }[];
  /** What is chosen now. */
  readonly value: string;
  readonly onChoose: (value: string) => void;
}

export type MenuItem = MenuAction | MenuChoice;

/** The option that comes `by` after the chosen one, around the end. */
export function optionAfter({ options, value }: Pick<MenuChoice, 'options' | 'value'>, by: number): string {
  const at = options.findIndex((option) => option.value === value);
  const next = options[(Math.max(at, 0) + by + options.length) % options.length];
  return next?.value ?? value;
}

/** Stays at the end. */
const LAST = 'leave';

export class SessionMenu {
  readonly element = h('div', { class: 'menu', role: 'menu', 'aria-label': 'Session', hidden: true });
  private readonly rows = new Map<string, HTMLButtonElement>();

  constructor(private readonly onClose: () => void) {
    this.element.addEventListener('keydown', (event) => {
      if (this.key(event.key)) event.preventDefault();
    });
    this.element.addEventListener('focusout', ({ relatedTarget }) => {
      // Who clicks elsewhere is done with it; the bar has a button that closes it.
      if (relatedTarget instanceof Element && !this.element.contains(relatedTarget) && relatedTarget.closest('.bar') === null) this.close();
    });
  }

  get isOpen(): boolean {
    return !this.element.hidden;
  }

  /** Adds an item below those there are but the one to leave, or puts it in the place of the one of the same id. */
  add(item: MenuItem): void {
    const row = this.row(item);
    const before = this.rows.get(item.id);
    if (before === undefined) {
      this.element.insertBefore(row, this.rows.get(LAST) ?? null);
      this.rows.set(item.id, row);
      return;
    }
    before.after(row);
    // Before it goes, so that the focus never leaves the menu.
    if (document.activeElement === before) row.focus();
    before.remove();
    this.rows.set(item.id, row);
  }

  remove(id: string): void {
    this.rows.get(id)?.remove();
    this.rows.delete(id);
  }

  open(): void {
    this.element.hidden = false;
    this.items()[0]?.focus();
  }

  close(): void {
    if (!this.isOpen) return;
    this.element.hidden = true;
    this.onClose();
  }

  private row(item: MenuItem): HTMLButtonElement {
    const row = h('button', { type: 'button', role: 'menuitem', class: 'row' }, h('span', {}, item.label));
    if (!('options' in item)) {
      row.addEventListener('click', () => {
        this.close();
        item.onChoose();
      });
      return row;
    }
    const shown = item.options.find((option) => option.value === item.value);
    row.append(h('span', { class: 'value' }, shown?.label ?? item.value));
    const turn = (by: number): void => {
      const value = optionAfter(item, by);
      this.add({ ...item, value });
      item.onChoose(value);
    };
    row.addEventListener('click', () => { turn(1); });
    row.addEventListener('keydown', (event) => {
      const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
      if (by === 0) return;
      event.preventDefault();
      turn(by);
    });
    return row;
  }

  /** What can be chosen, from the top. */
  private items(): readonly HTMLElement[] {
    return [...this.element.querySelectorAll<HTMLElement>('.row')];
  }

  private key(key: string): boolean {
    const items = this.items();
    const at = items.findIndex((item) => item === document.activeElement);
    const to: Readonly<Record<string, number>> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
    if (key === 'Escape') {
      this.close();
      return true;
    }
    const next = to[key];
    if (next === undefined) return false;
    items[(next + items.length) % items.length]?.focus();
    return true;
  }
}
