// A real node: the built binary as a process of its own, on ports that the system picks.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** How long anything may take before a test fails. Only a hang is that slow. */
export const DEADLINE_MS = 120_000;

/** A game may draw nothing for so long before its display is shown as it is (server/src/games/source.rs). */
export const UNDRAWN_MS = 6_000;

/** Listing and ending the sessions of others needs a token even where anybody may play. */
export const OPERATOR = 'e2e-operator';

/** Where cargo puts what it makes. */
export const TARGET = process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL('../../../target', import.meta.url));
/** What nodes of this file remember of the machine; the first one finds it out. */
const STATE = mkdtempSync(join(tmpdir(), 'nearlight-e2e-'));
process.once('exit', () => { rmSync(STATE, { recursive: true, force: true }); });

/** Users that games of this file's nodes run as: no node beside may have the same. */
const FIRST_USER = 1_879_048_192 + (process.pid % 100_000) * 1_000;

/** The program that is tested. */
export function binary() {
  const path = process.env.NEARLIGHT_BIN ?? `${TARGET}/debug/nearlight`;
  assert.ok(existsSync(path), `${path} does not exist: run \`cargo build -p nearlight\`, or set NEARLIGHT_BIN`);
  return path;
}

/** Waits until `look` yields something other than undefined, and yields it. */
export async function until(what, look, deadline = DEADLINE_MS) {
  const end = performance.now() + deadline;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (performance.now() > end) assert.fail(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export class Node {
  #child;
  #lines;
  url;
  ops;

  /** Starts a node with these settings (`key: value`) over those of every test, and this in its environment. */
  static async start(settings = {}, environment = {}) {
    const all = {
      'server.listen': '127.0.0.1:0',
      'ops.listen': '127.0.0.1:0',
      'webrtc.udp_port': '0',
      'access.open': 'true',
      'access.token_sha256': `["${createHash('sha256').update(OPERATOR).digest('hex')}"]`,
      'log.format': 'json',
      // A busy machine takes its time for an encoder, and for a page to come to what was made for it; none of these hangs.
      'video.probe_limit': '60s',
      'sessions.connect': '120s',
      'server.state_dir': STATE,
      'games.first_user': String(FIRST_USER),
      ...settings,
    };
    const given = Object.entries(all).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
    const node = new Node();
    node.#child = spawn(binary(), ['serve', ...given], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...environment } });
    node.#lines = [];
    const exited = new Promise((resolve) => { node.#child.once('exit', resolve); });
    node.exited = exited;
    const serving = new Promise((resolve) => {
      createInterface({ input: node.#child.stderr }).on('line', (line) => {
        node.#lines.push(line);
        const fields = parse(line)?.fields;
        if (fields?.message === 'serving') resolve(fields);
      });
    });
    const timer = setTimeout(() => node.#child.kill('SIGKILL'), DEADLINE_MS);
    const fields = await Promise.race([serving, exited.then(() => undefined)]);
    clearTimeout(timer);
    assert.ok(fields, `the node did not start:\n${node.log()}`);
    node.url = fields.url;
    node.ops = `http://${fields.ops}/`;
    return node;
  }

  get pid() {
    return this.#child.pid;
  }

  /** What it logged, as it came. */
  log() {
    return this.#lines.join('\n');
  }

  /** Log records with this message. */
  records(message) {
    return this.#lines.map(parse).filter((record) => record?.fields?.message === message);
  }

  /** Fields of the records with this target, which `log.filter` lets through. */
  traced(target) {
    return this.#lines.map(parse).filter((record) => record?.target === target).map(({ fields }) => fields);
  }

  async fetch(path, init = {}) {
    return fetch(new URL(path, this.url), init);
  }

  /** The operator's view of the sessions that have not ended. */
  async sessions() {
    const answer = await this.fetch('api/v1/sessions', { headers: { authorization: `Bearer ${OPERATOR}` } });
    assert.equal(answer.status, 200);
    return answer.json();
  }

  /** Waits until exactly `count` sessions have not ended; yields them. */
  async sessionsToBe(count) {
    let last;
    const look = async () => {
      last = await this.sessions();
      return last.length === count ? last : undefined;
    };
    return until(`${count} sessions`, look).catch((error) => {
      throw new Error(`${error.message}; there are ${JSON.stringify(last)}\n${this.log()}`, { cause: error });
    });
  }

  /** Waits until a session has ended; yields the code of its reason. */
  async reasonOf({ id }) {
    const { fields } = await until(`the end of session ${id}`, () =>
      this.records('session ended').find(({ span }) => id.startsWith(span.id)));
    return fields.reason;
  }

  /** Makes a session as an operator does who hands it on; yields it with its link. */
  async make(app, video = { width: 640, height: 360, fps: 15 }) {
    const answer = await this.fetch('api/v1/sessions', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${OPERATOR}` },
      body: JSON.stringify({ app, video, barcode: true }),
    });
    assert.equal(answer.status, 201);
    return answer.json();
  }

  /** Ends a session as its operator does. */
  async end(session) {
    const answer = await fetch(session.url, { method: 'DELETE', headers: { authorization: `Bearer ${OPERATOR}` } });
    assert.equal(answer.status, 204, await answer.text());
  }

  /** Threads and file descriptors that the process has now. */
  footprint() {
    const count = (what) => readdirSync(`/proc/${this.pid}/${what}`).length;
    return { threads: count('task'), descriptors: count('fd') };
  }

  /** One number of `/metrics`. */
  async metric(name) {
    const text = await (await fetch(new URL('metrics', this.ops))).text();
    const line = text.split('\n').find((each) => each.startsWith(`${name} `));
    return line === undefined ? 0 : Number(line.slice(name.length + 1));
  }

  /** Stops the process where it is, until `thaw`. */
  freeze() {
    this.#child.kill('SIGSTOP');
  }

  thaw() {
    this.#child.kill('SIGCONT');
  }

  /** Asks it to stop and yields its exit status. */
  async stop() {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), DEADLINE_MS);
    const status = await this.exited;
    clearTimeout(timer);
    return status;
  }
}

function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    // Libraries below write plain lines to the same stream.
    return undefined;
  }
}
