// The row of the session's menu that says how loud it is, for who has no pointer.
import type { Volume } from '../audio/volume.ts';
import type { MenuChoice } from './menu.ts';

/** In hundredths. */
const LEVELS = ['0', '25', '50', '75', '100'] as const;

/** `onLevel` is told a level from 0 to 1. */
export function volumeChoice({ level, muted }: Volume, onLevel: (level: number) => void): MenuChoice {
  return {
    id: 'volume',
    label: 'Volume',
    options: LEVELS.map((value) => ({ value, label: value === '0' ? 'Off' : `${value} %` })),
    value: muted ? '0' : String(Math.round(level * 4) * 25),
    onChoose: (value) => { onLevel(Number(value) / 100); },
  };
}
