// A real chain of development, and the wallets that everybody knows (`subkey inspect //Alice` and so on).
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { binary, DEADLINE_MS, TARGET } from './node.mjs';

/** The secrets of keys that everybody knows, sr25519. */
export const SEEDS = {
  alice: 'e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a',
  bob: '398f0c28f98885e046333d4a41c19cee4c37368a9832c6502f6cfd182e2aef89',
  machine: 'dbd09ff39ede06a413c76a3c55eb445e352bfee6739ace67403a2951a476e6e4',
};

export class DevelopmentChain {
  #child;
  #calls = 0;
  /** Where its renters keep what they have signed. */
  #state = mkdtempSync(join(tmpdir(), 'nearlight-chain-'));
  /** What it said first: `url`, `genesis`, `machine`. */
  is;

  static async start() {
    const path = `${TARGET}/debug/nearlight-devchain`;
    assert.ok(existsSync(path), `${path} does not exist: run \`make devchain\``);
    const chain = new DevelopmentChain();
    chain.#child = spawn(path, ['--listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await Promise.race([
      new Promise((resolve) => { createInterface({ input: chain.#child.stdout }).once('line', (first) => { resolve([first]); }); }),
      new Promise((resolve) => { chain.#child.once('exit', () => { resolve([]); }); }),
    ]);
    assert.ok(line, 'the chain did not start');
    chain.is = JSON.parse(line);
    return chain;
  }

  /** What a node needs to be rented by it. */
  get settings() {
    return {
      'access.open': 'false',
      'chain.enabled': 'true',
      'chain.rpc': JSON.stringify([this.is.url]),
      'chain.genesis': this.is.genesis,
      'chain.development': this.is.genesis,
      'chain.machine_key': SEEDS.machine,
    };
  }

  /** A call of its JSON-RPC. */
  async call(method, ...params) {
    this.#calls += 1;
    const answer = await fetch(this.is.url.replace('ws:', 'http:'), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: this.#calls, method, params }),
    });
    const { result, error } = await answer.json();
    assert.equal(error, undefined, `${method}: ${JSON.stringify(error)}`);
    return result;
  }

  /** Number of the newest block. */
  async block() {
    const { number } = await this.call('chain_getHeader');
    return Number(number);
  }

  /** Runs a command of `nearlight` as somebody; yields what it answers. */
  async nearlight(who, ...words) {
    const where = ['--rpc', this.is.url, '--genesis', this.is.genesis, '--on', this.is.machine, '--set', `chain.development=${this.is.genesis}`, '--json'];
    const env = { ...process.env, NEARLIGHT_WALLET_SEED: SEEDS[who], XDG_STATE_HOME: this.#state };
    const { stdout } = await promisify(execFile)(binary(), [...words, ...where], { env, timeout: DEADLINE_MS });
    return JSON.parse(stdout);
  }

  async stop() {
    const over = new Promise((resolve) => { this.#child.once('exit', resolve); });
    this.#child.kill('SIGTERM');
    await over;
    rmSync(this.#state, { recursive: true, force: true });
  }
}
