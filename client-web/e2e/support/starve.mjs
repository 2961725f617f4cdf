// A browser without time: its renderers stand still again and again, as on a machine that others keep busy. Decoding is done there,
// which the browser's own throttling of a page's main thread leaves as it was.
import { readdirSync, readFileSync } from 'node:fs';

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The processes below this one that draw and decode pages. */
function renderers() {
  const parents = new Map();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number)) {
    try {
      // The name may have blanks; what follows its bracket are state and parent.
      const [, parent] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
      parents.set(pid, Number(parent));
    } catch {
      // It ended meanwhile.
    }
  }
  const isOurs = (pid) => pid !== undefined && (pid === process.pid || isOurs(parents.get(pid)));
  return [...parents.keys()].filter((pid) => {
    try {
      return isOurs(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=renderer');
    } catch {
      return false;
    }
  });
}

function signal(pids, name) {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It ended meanwhile.
    }
  }
}

export class Starvation {
  #going = true;
  #pids = renderers();
  #done;

  /** From now on they run for `runs` milliseconds after each `stands`. */
  constructor({ stands, runs }) {
    this.#done = this.#run(stands, runs);
  }

  /** They run as they like again. */
  async end() {
    this.#going = false;
    await this.#done;
  }

  async #run(stands, runs) {
    while (this.#going) {
      signal(this.#pids, 'SIGSTOP');
      await pause(stands);
      signal(this.#pids, 'SIGCONT');
      await pause(runs);
    }
  }
}
