// The sound in words: what the node sends of it, and what came.
import { nameOf } from '../audio/layout.ts';
import type { SpeakerFigures } from '../audio/speaker.ts';
import type { SoundPath } from '../session/connection.ts';
import type { AudioStats } from '../wire/index.ts';

export function soundOf(sent: AudioStats | undefined, path: SoundPath | undefined, speaker: SpeakerFigures | undefined, skewMs: number | undefined): string {
  if (sent === undefined) return 'none';
  if (sent.failed != null) return `none: ${sent.failed}`;
  const parts = [`${sent.codec}${sent.channels > 2 ? ` ${nameOf(sent.channels)}` : ''}, ${sent.silent ? 'silent now' : `${sent.kbps} kbit/s`}`];
  if (path !== undefined) {
    const { expected, lost, recovered } = path;
    parts.push(`${lost} of ${expected} packets lost`);
    if (recovered > 0) parts.push(`${recovered} made up for`);
    const concealed = path.concealed ?? (speaker === undefined ? undefined : `${speaker.concealed} times`);
    if (concealed !== undefined) parts.push(`concealed ${concealed}`);
    const bufferMs = speaker?.bufferMs ?? path.bufferMs;
    if (bufferMs !== undefined) parts.push(`buffer ${bufferMs.toFixed(0)} ms`);
    if (skewMs !== undefined) parts.push(`${Math.abs(skewMs).toFixed(0)} ms ${skewMs < 0 ? 'before' : 'after'} the picture`);
  }
  return parts.join(', ');
}
