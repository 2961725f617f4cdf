// The picture's dynamic range, in words: what the session has, and what the display makes of it.
import type { Hello } from '../wire/index.ts';

/** Whether the display has high range, be it for video alone (Media Queries 5, `video-dynamic-range`). */
export function displayIsHigh(): MediaQueryList {
  return matchMedia('(dynamic-range: high), (video-dynamic-range: high)');
}

/** `withheld`: high range was wished for, and not asked for since the display had none. */
export function rangeOf({ video, hdr_declined: declined }: Pick<Hello, 'video' | 'hdr_declined'>, high: boolean, withheld = false): string {
  if (video.hdr) return high ? 'HDR10' : 'HDR10, shown in standard range: the display has no high range';
  if (declined != null) return `standard: ${declined}`;
  return withheld ? 'standard: the display had no high range when the session began' : 'standard';
}
