// Finds out when the node can be reached again. What is asked while the network is down waits for TCP, which tries
// again after ever longer pauses: so every KNOCK_MS it is asked anew, and what is not answered soon is given up. One
// question at a time is left more patience, for paths that are slow and not down. Browsers have six connections to
// one host: more than five of these never wait.
import { ms } from '../units.ts';
import { pause } from './backoff.ts';

const KNOCK_MS = 100;
const SOON_MS = 450;
const PATIENT_MS = 5_000;

/**
 * Resolves when `ask` was answered, whatever the answer is. Asks at once when `network` says `online`: the window does.
 * Rejects with the signal's reason.
 */
export async function reached(ask: (signal: AbortSignal) => Promise<unknown>, signal: AbortSignal, network: EventTarget): Promise<void> {
  const over = new AbortController();
  const any = AbortSignal.any([signal, over.signal]);
  let patient = false;
  const knock = async (): Promise<void> => {
    const isPatient = !patient;
    if (isPatient) patient = true;
    const late = new AbortController();
    const timer = setTimeout(() => { late.abort(); }, isPatient ? PATIENT_MS : SOON_MS);
    try {
      await ask(AbortSignal.any([any, late.signal]));
      over.abort();
    } catch {
      // Nobody was there, or not in time.
    } finally {
      clearTimeout(timer);
      if (isPatient) patient = false;
    }
  };
  while (!over.signal.aborted) {
    knock().catch(() => undefined);
    try {
      await pause(ms(KNOCK_MS), any, network);
    } catch {
      signal.throwIfAborted();
    }
  }
}
