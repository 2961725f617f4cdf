import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MouseChoice } from '../src/input/mouse-choice.ts';
import type { MenuChoice, MenuItem } from '../src/ui/menu.ts';
import { MouseControl } from '../src/ui/mouse.ts';

const KEY = 'nearlight.mouse';
let stored: Map<string, string>;

beforeEach(() => {
  stored = new Map();
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => { stored.set(key, value); },
  });
  vi.stubGlobal('matchMedia', () => ({ matches: true }));
  vi.stubGlobal('Element', class { requestPointerLock(): void { throw new Error('nobody asks'); } });
});
afterEach(() => { vi.unstubAllGlobals(); });

/** A session of a game, which says whether it is pointed at; `grants`: the browser captures the mouse when it is asked. */
class Page {
  readonly input = {
    isLocked: false,
    /** A click leaves the mouse as it is. */
    isFree: false,
    lockPointer: (): Promise<boolean> => Promise.resolve((this.input.isLocked = this.grants)),
    unlockPointer: (): void => { this.input.isLocked = false; },
    setPointerFree: (free: boolean): void => { this.input.isFree = free; },
  };
  readonly rows = new Map<string, MenuItem>();
  readonly said: string[] = [];
  readonly control = new MouseControl(this.input, {
    add: (item) => { this.rows.set(item.id, item); },
    remove: (id) => { this.rows.delete(id); },
  }, (text) => { this.said.push(text); });

  constructor(game: string, isPointedAt: boolean, private readonly grants = true) {
    this.control.show();
    this.control.of(game);
    this.control.suggest(isPointedAt);
  }

  get free(): boolean {
    return this.input.isFree;
  }

  get locked(): boolean {
    return this.input.isLocked;
  }

  get row(): MenuChoice | undefined {
    return this.rows.get('mouse') as MenuChoice | undefined;
  }
}

describe('what a click makes of the mouse', () => {
  it('is what suits the game, until the player chooses', () => {
    for (const [isPointedAt, way] of [[true, 'free'], [false, 'captured']] as const) {
      const page = new Page('desktop', isPointedAt);
      expect([page.free, page.row?.value]).toEqual([isPointedAt, way]);
    }
    expect(stored.size).toBe(0);
  });

  it('is to capture it from when the player does, in that game and in every session of it', async () => {
    const page = new Page('desktop', true);
    await page.control.toggle();
    expect([page.locked, page.free, page.row?.value]).toEqual([true, false, 'captured']);
    // To free it for now is not to choose.
    await page.control.toggle();
    expect([page.locked, page.free]).toEqual([false, false]);
    const next = new Page('desktop', true);
    expect([next.free, next.row?.value]).toEqual([false, 'captured']);
    expect(new Page('other', true).free).toBe(true);
  });

  it('is chosen in the menu as well, and given up there', async () => {
    await new Page('desktop', true).control.toggle();
    const page = new Page('desktop', true);
    page.row?.onChoose('free');
    expect([page.free, page.row?.value]).toEqual([true, 'free']);
    expect(new Page('desktop', true).free).toBe(true);
    // Nothing is left of it: the game says what suits it again.
    expect(stored.get(KEY)).toBe('{}');
    new Page('shooter', false).row?.onChoose('free');
    expect(new Page('shooter', false).free).toBe(true);
    // To capture it is to have it back there, too.
    await new Page('shooter', false).control.toggle();
    expect(new Page('shooter', false).free).toBe(false);
  });

  it('is chosen before the game says what suits it, too', () => {
    const choice = new MouseChoice();
    choice.of('desktop');
    choice.choose('captured');
    choice.suggest('free');
    expect(choice.way).toBe('captured');
    expect(stored.get(KEY)).toBe('{"desktop":"captured"}');
  });

  it('is remembered of no game that is not known, and is as it was chosen once that is', async () => {
    await new Page('', true).control.toggle();
    expect(stored.size).toBe(0);
    await new Page('desktop', true).control.toggle();
    const guest = new Page('', true);
    expect(guest.free).toBe(true);
    guest.control.of('desktop');
    expect([guest.free, guest.row?.value]).toEqual([false, 'captured']);
  });

  it('is told to who is refused it, and is a click’s all the same', async () => {
    const page = new Page('desktop', true, false);
    await page.control.toggle();
    expect([page.locked, page.free, page.said]).toEqual([false, false, ['The browser refused to capture the mouse. Click the picture to try again']]);
  });

  it('is not chosen by who watches, or where nothing can be captured', async () => {
    const page = new Page('desktop', true);
    page.control.close();
    await page.control.toggle();
    page.control.suggest(true);
    expect([page.row, page.locked, stored.size]).toEqual([undefined, false, 0]);
    vi.stubGlobal('matchMedia', () => ({ matches: false }));
    const coarse = new Page('desktop', true);
    await coarse.control.toggle();
    expect([coarse.row, coarse.free, stored.size]).toEqual([undefined, true, 0]);
  });

  it.each(['', 'null', '[]', '{"desktop":1}', '{"desktop":null}', '{"desktop":"caught"}', '{"desktop":{"way":"captured"}}', '{"desktop":['])('is what suits the game where %s is remembered', (text) => {
    stored.set(KEY, text);
    expect(new Page('desktop', true).row?.value).toBe('free');
  });

  it('is forgotten where the browser keeps nothing, and holds for the session', async () => {
    const refuse = (): never => { throw new Error('storage is turned off'); };
    vi.stubGlobal('localStorage', { getItem: refuse, setItem: refuse });
    const page = new Page('desktop', true);
    await page.control.toggle();
    expect(page.free).toBe(false);
    expect(new Page('desktop', true).free).toBe(true);
  });
});
