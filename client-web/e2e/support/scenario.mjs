// A network of testkit's library between a browser and a node (testkit/src/net/scenarios.rs), played by its relay.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { TARGET } from './node.mjs';
import { putBetween } from './relay.mjs';

export class ScenarioRelay {
  #child;
  #answers;

  /** Plays this scenario, of so many seconds once it begins. */
  constructor(name, seconds) {
    const path = `${TARGET}/debug/nearlight-relay`;
    assert.ok(existsSync(path), `${path} does not exist: run \`cargo build --workspace --bins\``);
    this.#child = spawn(path, [name, String(seconds)], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async #ask(line) {
    this.#child.stdin.write(`${line}\n`);
    const { value, done } = await this.#answers.next();
    assert.ok(!done, 'the relay is gone');
    return value;
  }

  /** Puts itself in place of the node in answers that pages get from now on. */
  prepare(context) {
    return putBetween(context, async (port) => (await this.#ask(`route 127.0.0.1:${port}`)).split(':').at(-1));
  }

  /** Lets the script begin; before, the network is as it starts. */
  begin() {
    return this.#ask('begin');
  }

  /** Datagrams from the node so far, and those of them that the queue or the network dropped. */
  async counts() {
    const [sent, overflowed, lost] = (await this.#ask('counts')).split(' ').map(Number);
    return { sent, overflowed, lost };
  }

  close() {
    this.#child.stdin.end();
  }
}
