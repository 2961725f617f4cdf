// What a user may want less of than a session was granted: bits and frames.
import type { Hello, Quality } from '../wire/index.ts';
import type { MenuChoice } from './menu.ts';

/** Megabits and frames a second that are on offer where more was granted. */
const MBPS = [50, 20, 10, 5, 2];
const FPS = [120, 60, 30, 15];

const ALL = 'all';

/** The choices for a session that was granted this; `onChoose` is told of both together. */
export function qualityChoices({ video }: Pick<Hello, 'video'>, wanted: Quality, onChoose: (quality: Quality) => void): readonly MenuChoice[] {
  const choice = (id: string, label: string, key: keyof Quality, limits: readonly number[], unit: string, scale: number): MenuChoice => ({
    id,
    label,
    options: [{ value: ALL, label: 'No limit' }, ...limits.map((limit) => ({ value: String(limit * scale), label: `${limit} ${unit}` }))],
    value: wanted[key] == null ? ALL : String(wanted[key]),
    onChoose: (value) => {
      // A limit that is not named is none.
      const rest: Quality = Object.fromEntries(Object.entries(wanted).filter(([name]) => name !== key));
      onChoose(value === ALL ? rest : { ...rest, [key]: Number(value) });
    },
  });
  return [
    choice('rate', 'Bit rate', 'max_kbps', MBPS.filter((limit) => limit * 1_000 < video.max_kbps), 'Mbit/s', 1_000),
    choice('fps', 'Frames', 'fps', FPS.filter((limit) => limit < video.fps), 'a second', 1),
  ];
}
