// Watches the path of a connection, and finds out whether it is gone. A path that comes back mends itself: what this
// sends meanwhile makes the node notice at once. Where the node can be reached and is not heard, the path is gone.
import { RunningTime } from '../running.ts';
import { ms } from '../units.ts';
import { pause } from './backoff.ts';
import { reached } from './knock.ts';
import { LOOK_MS, Pulse } from './pulse.ts';

/** A connection that is not heard so long after the node could be reached otherwise is gone... */
const MENDS_WITHIN_MS = 100;
/** ...and one of which no more is known than doubt: the node tells figures four times a second. */
const SPEAKS_WITHIN_MS = 350;
/** A node that answers within this time could be reached all the while. */
const PROMPT_MS = 300;
/** In steps of so many such times are waited for. */
const STEP_MS = 25;

export interface PathEvents {
  /** Send something. */
  readonly onQuiet: () => void;
  /** Nothing is heard for so long that whoever plays should know, or it is again. */
  readonly onSilent: (silent: boolean) => void;
  /** The path is gone; `alone`: the network is not. Nothing more is told. */
  readonly onGone: (alone: boolean) => void;
}

export class PathWatch {
  private readonly pulse = new Pulse(performance.now());
  private readonly timer = setInterval(() => { this.look(); }, LOOK_MS);
  private search: AbortController | undefined;
  private silent = false;

  /** `knock` asks the node whether it is there. A `patient` one only says that it is quiet. */
  constructor(private readonly knock: (signal: AbortSignal) => Promise<void>, private readonly events: PathEvents, private readonly patient: boolean) {}

  /** The node was heard. */
  heard(): void {
    this.pulse.heard(performance.now());
    this.search?.abort();
    this.search = undefined;
    if (this.silent) this.events.onSilent(false);
    this.silent = false;
  }

  /** The path may be another one now. */
  doubt(): void {
    this.pulse.doubt();
    this.look();
  }

  stop(): void {
    clearInterval(this.timer);
    this.search?.abort();
  }

  private look(): void {
    const now = performance.now();
    // A hidden page is sent nothing, and its timers are slow.
    if (document.visibilityState === 'hidden') this.pulse.heard(now);
    const health = this.pulse.look(now);
    if (health !== 'well') this.events.onQuiet();
    if (this.patient) return;
    if (health === 'down' && this.search === undefined) this.seek();
    // A mere doubt is nothing to see.
    if (!this.silent && this.pulse.isSilent) {
      this.silent = true;
      this.events.onSilent(true);
    }
  }

  private seek(): void {
    const { signal } = (this.search = new AbortController());
    const began = performance.now();
    const { isDoubted } = this.pulse;
    let alone = false;
    reached(this.knock, signal, window)
      .then(() => {
        const now = performance.now();
        // A page that slept does not know how long the network was away.
        alone = !isDoubted && now - began < PROMPT_MS;
        return running(this.pulse.isLongAgo(now) ? MENDS_WITHIN_MS : SPEAKS_WITHIN_MS, signal);
      })
      .then(() => {
        this.stop();
        this.events.onGone(alone);
      }, () => undefined);
  }
}

/** Waits for so many milliseconds in which the page runs, or rejects with the signal's reason. */
async function running(length: number, signal: AbortSignal): Promise<void> {
  const time = new RunningTime(2 * STEP_MS);
  time.begin(performance.now());
  for (let left = length; left > 0; left = length - time.look(performance.now())) await pause(ms(Math.min(left, STEP_MS)), signal);
}
