// When to try again: at once, then after pauses that double up to a limit, each shortened at random by up
// to a third so that the clients of one node do not come back together.
import { ms, type Milliseconds } from '../units.ts';

const FIRST_MS = 250;
const MOST_MS = 4_000;

/** The pause before attempt `attempt`, counted from 1. `random` is in 0 to 1. */
export function pauseBefore(attempt: number, random: number): Milliseconds {
  if (attempt <= 1) return ms(0);
  const whole = Math.min(FIRST_MS * 2 ** (attempt - 2), MOST_MS);
  return ms(Math.round(whole * (1 - random / 3)));
}

/** Waits, or rejects with the signal's reason. Ends early when `network`, if given, says `online`: the window does. */
export function pause(length: Milliseconds, signal: AbortSignal, network?: EventTarget): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const done = (finish: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      network?.removeEventListener('online', wake);
      finish();
    };
    const wake = (): void => { done(resolve); };
    const stop = (): void => { done(() => { reject(signal.reason as Error); }); };
    const timer = setTimeout(wake, length);
    signal.addEventListener('abort', stop);
    network?.addEventListener('online', wake);
  });
}
