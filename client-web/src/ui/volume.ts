// The rows of the session's menu for sound: how loud it is, for who has no pointer, and by how many channels.
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

/** `onStereo` is told whether two channels are enough where there are more. */
export function channelsChoice(value: 'all' | 'stereo', onStereo: (stereo: boolean) => void): MenuChoice {
  return {
    id: 'channels',
    label: 'Sound',
    options: [{ value: 'all', label: 'As the game plays' }, { value: 'stereo', label: 'Stereo' }],
    value,
    onChoose: (choice) => { onStereo(choice === 'stereo'); },
  };
}
