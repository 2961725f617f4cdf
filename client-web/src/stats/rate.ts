// What keeps a session from more, in words.
import type { Stats } from '../wire/index.ts';

const LIMITS: Readonly<Record<Stats['rate']['limited_by'], string>> = {
  link: 'limited by the link',
  client: 'limited by this device',
  ceiling: 'as much as is allowed',
  source: 'all that the picture needs',
};

/** One line: why it is no more, what the path is like, and what was left out for it. */
export function rateOf(rate: Stats['rate']): string {
  const parts = [LIMITS[rate.limited_by], `path ${rate.path}`, `${rate.queue_ms.toFixed(0)} ms of queue`];
  if (rate.frame_rate < 1) parts.push(`${percent(rate.frame_rate)} of the frames`);
  if (rate.size < 1) parts.push(`${percent(rate.size)} of the size`);
  if (rate.size_changes > 0) parts.push(`size changed ${rate.size_changes} ×`);
  return parts.join(', ');
}

function percent(part: number): string {
  return `${(part * 100).toFixed(0)} %`;
}
