// The microphone in words: what the node got of it.
import type { MicrophoneStats } from '../wire/index.ts';

export function microphoneOf(stats: MicrophoneStats | undefined): string {
  if (stats === undefined) return 'not used here';
  if (stats.failed != null) return `not heard: ${stats.failed}`;
  const recorded = stats.recorded ? 'the game listens' : 'the game does not listen';
  if (!stats.on) return `off, ${recorded}`;
  const parts = [`${stats.kbps} kbit/s`, recorded, `${stats.lost} of ${stats.packets + stats.lost} packets lost`];
  if (stats.recovered > 0) parts.push(`${stats.recovered} made up for`);
  parts.push(`buffer ${stats.buffer_ms} ms`);
  if (stats.dropped_ms > 0) parts.push(`${stats.dropped_ms} ms left out`);
  return parts.join(', ');
}
