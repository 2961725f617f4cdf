// Keys that a player wants elsewhere: by the place that is pressed, the place that the game is told. By game, and
// remembered on this device. Pure, but for the memory.
import { recall, remember } from './by-game.ts';
import { hidUsage } from './hid.ts';

export type KeyMap = ReadonlyMap<string, string>;

const KEY = 'nearlight.keys';
/** More keys than anybody moves. */
const MOST = 64;

/** A map in which `from` is `to`: as it was where they are the same. */
export function withKey(map: KeyMap, from: string, to: string): KeyMap {
  const next = new Map(map);
  next.delete(from);
  if (from !== to && next.size < MOST) next.set(from, to);
  return next;
}

export function withoutKey(map: KeyMap, from: string): KeyMap {
  return new Map([...map].filter(([key]) => key !== from));
}

/** What a key is called, by its place on an American keyboard. */
export function keyName(code: string): string {
  const arrow = /^Arrow(Left|Right|Up|Down)$/.exec(code)?.[1];
  if (arrow !== undefined) return { Left: '←', Right: '→', Up: '↑', Down: '↓' }[arrow] ?? code;
  const short = /^(?:Key|Digit)(.)$/.exec(code)?.[1];
  return short ?? code.replace(/(?<=[a-z])(?=[A-Z0-9])/g, ' ');
}

/** The keys that were moved for this game. */
export function rememberedKeys(game: string): KeyMap {
  const of = recall(KEY)[game];
  if (typeof of !== 'object' || of === null) return new Map();
  const known = Object.entries(of).filter((pair): pair is [string, string] => {
    const [from, to] = pair as readonly [string, unknown];
    return hidUsage(from) !== undefined && typeof to === 'string' && hidUsage(to) !== undefined;
  });
  return new Map(known.slice(0, MOST));
}

export function rememberKeys(game: string, map: KeyMap): void {
  remember(KEY, game, map.size === 0 ? undefined : Object.fromEntries(map));
}
