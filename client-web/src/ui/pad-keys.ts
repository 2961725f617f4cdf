// Keys on the screen, for who has a gamepad alone: below the field that was pressed, into which they write.
import { button, h } from './dom.ts';

/** Where a gamepad points. */
export type Way = 'up' | 'down' | 'left' | 'right';

/** Each as long as the others. */
const ROWS = ['1234567890', 'qwertyuiop', 'asdfghjkl-', 'zxcvbnm._+'] as const;
const LETTERS = ROWS.join('');
/** How many columns each key of the row below them takes (style.css). */
const WIDE = [2, 4, 2, 2] as const;
/** The key in each column of each row. */
const GRID: readonly (readonly number[])[] = [
  ...ROWS.map((row, at) => Array.from(row, (_, column) => at * row.length + column)),
  WIDE.flatMap((columns, at) => Array.from({ length: columns }, () => LETTERS.length + at)),
];
/** Fields that hold text. */
const TEXT: readonly string[] = ['search', 'text', 'password'];

/** Whether somebody would type into this. */
export function isText(element: HTMLElement): element is HTMLInputElement {
  return element instanceof HTMLInputElement && TEXT.includes(element.type);
}

/** The key to go to from this one: those of a row follow one another, and nothing leads out. */
export function keyAfter(at: number, way: Way): number {
  const by = way === 'up' || way === 'left' ? -1 : 1;
  if (way === 'left' || way === 'right') return Math.min(Math.max(at + by, 0), LETTERS.length + WIDE.length - 1);
  const row = GRID.findIndex((keys) => keys.includes(at));
  const column = GRID[row]?.indexOf(at) ?? 0;
  return GRID[row + by]?.[column] ?? at;
}

export class PadKeys {
  private readonly element = h('div', { class: 'pad-keys', role: 'group', 'aria-label': 'Keys to write with' });
  private readonly keys: readonly HTMLButtonElement[];
  private readonly shift: HTMLButtonElement;
  private field: HTMLInputElement | undefined;
  private upper = false;

  constructor() {
    const letters = Array.from(LETTERS, (key) => button({ label: key, onClick: () => { this.write(this.upper ? key.toUpperCase() : key); } }));
    this.shift = button({ label: 'Shift', onClick: () => { this.setUpper(!this.upper); } });
    this.keys = [
      ...letters,
      this.shift,
      button({ label: 'Space', onClick: () => { this.write(' '); } }),
      button({ label: 'Delete', onClick: () => { this.set(this.field?.value.slice(0, -1) ?? ''); } }),
      button({ label: 'Done', kind: 'primary', onClick: () => { this.close(); } }),
    ];
    this.element.append(...this.keys);
  }

  /** They go with what their field is in. */
  get isOpen(): boolean {
    return this.element.isConnected;
  }

  open(field: HTMLInputElement): void {
    this.field = field;
    this.setUpper(false);
    (field.closest('form') ?? field).after(this.element);
    this.keys[0]?.focus();
  }

  /** The focus goes back to the field. */
  close(): void {
    this.element.remove();
    this.field?.focus();
    this.field = undefined;
  }

  press(): void {
    this.keys.find((key) => key === document.activeElement)?.click();
  }

  go(way: Way): void {
    const at = this.keys.findIndex((key) => key === document.activeElement);
    const key = this.keys[at === -1 ? 0 : keyAfter(at, way)];
    key?.focus();
    key?.scrollIntoView({ block: 'nearest' });
  }

  private setUpper(upper: boolean): void {
    this.upper = upper;
    this.element.classList.toggle('upper', upper);
    this.shift.setAttribute('aria-pressed', String(upper));
  }

  private write(text: string): void {
    const value = `${this.field?.value ?? ''}${text}`;
    const most = this.field?.maxLength ?? -1;
    if (most < 0 || value.length <= most) this.set(value);
  }

  private set(value: string): void {
    const { field } = this;
    if (field === undefined) return;
    field.value = value;
    field.dispatchEvent(new Event('input', { bubbles: true }));
  }
}
