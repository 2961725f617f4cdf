// A TURN server of the system (coturn), on loopback.
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leftOut } from './left-out.mjs';
import { until } from './node.mjs';

const BINARY = process.env.TURNSERVER ?? '/usr/bin/turnserver';

/** Why there is none, or false. */
export const missing = leftOut(existsSync(BINARY) ? undefined : `${BINARY} is missing: run \`make setup-test\``, () => true);

/** One that is free, and that the system gives nobody who asks for any: it is free a moment later, too. */
async function freePort() {
  const socket = createSocket('udp4');
  const bound = new Promise((resolve) => {
    socket.on('listening', () => { resolve(true); });
    socket.on('error', () => { resolve(false); });
  });
  const port = randomInt(12_000, 30_000);
  socket.bind(port, '127.0.0.1');
  const isFree = await bound;
  await new Promise((resolve) => { socket.close(resolve); });
  return isFree ? port : freePort();
}

export class Turn {
  #child;
  #folder;
  #lines = [];
  url;

  /** Starts one that shares `secret` with the node. */
  static async start(secret) {
    const turn = new Turn();
    const port = await freePort();
    turn.#folder = mkdtempSync(join(tmpdir(), 'nearlight-turn-'));
    turn.#child = spawn(BINARY, [
      '-n', '--no-cli', '--no-tls', '--no-dtls', '--allow-loopback-peers',
      '--listening-ip=127.0.0.1', '--relay-ip=127.0.0.1', `--listening-port=${port}`,
      '--lt-cred-mech', '--use-auth-secret', `--static-auth-secret=${secret}`, '--realm=nearlight.test',
      '--log-file=stdout', '--simple-log', '--verbose', `--pidfile=${join(turn.#folder, 'pid')}`,
      `--userdb=${join(turn.#folder, 'db')}`,
    ], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [turn.#child.stdout, turn.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => { turn.#lines.push(text); });
    }
    turn.url = `turn:127.0.0.1:${port}?transport=udp`;
    const listens = () => /listener opened/i.test(turn.log()) || undefined;
    await until('the TURN server', listens).catch((error) => { throw new Error(`${error.message}\n${turn.log()}`, { cause: error }); });
    return turn;
  }

  log() {
    return this.#lines.join('');
  }

  async stop() {
    const gone = new Promise((resolve) => { this.#child.once('exit', resolve); });
    this.#child.kill('SIGKILL');
    await gone;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
