// Players that are not our page: a plain WHEP player with a WebRTC stack of its own decodes the stream.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DEADLINE_MS, Node, until } from './support/node.mjs';

const PYTHON = fileURLToPath(new URL('../../testkit/.venv/bin/python', import.meta.url));
const PEER = fileURLToPath(new URL('../../testkit/peers/whep_peer.py', import.meta.url));

let node;
before(async () => {
  assert.ok(existsSync(PYTHON), `${PYTHON} does not exist: run \`scripts/setup test\``);
  node = await Node.start();
});
after(() => node?.stop());

/** Runs the aiortc peer to its end; yields what it says. */
function peer(...options) {
  return new Promise((resolve, reject) => {
    const child = spawn(PYTHON, [PEER, ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS * 1.5);
    let [out, complaints] = ['', ''];
    child.stdout.on('data', (data) => { out += data; });
    child.stderr.on('data', (data) => { complaints += data; });
    child.on('close', (status) => {
      clearTimeout(timer);
      if (status === 0) resolve(JSON.parse(out));
      else reject(new Error(`the peer ended with ${status}:\n${complaints}\nnode:\n${node.log().split('\n').slice(-15).join('\n')}`));
    });
  });
}

test('aiortc plays by WHEP alone and leaves nothing behind', async () => {
  await peer(node.url, 'demo', '--frames', '1');
  await node.sessionsToBe(0);
  const before = node.footprint();
  const seen = await peer(node.url, 'demo', '--frames', '25', '--width', '640', '--height', '360');
  assert.deepEqual(seen.sizes, [[640, 360]]);
  assert.equal(seen.frames, 25);
  assert.ok(seen.increasing, 'time goes on');
  assert.ok(seen.spread > 100, `the picture has shades: ${seen.spread}`);
  assert.ok(seen.changed >= 20, `the picture moves: ${seen.changed} of 24`);
  assert.deepEqual([seen.answered, seen.deleted], [201, 204]);
  await node.sessionsToBe(0);
  assert.equal((await node.fetch(`api/v1/sessions/${seen.session}`)).status, 410);
  await until('threads and descriptors to be given back', () => {
    const now = node.footprint();
    return now.threads <= before.threads && now.descriptors <= before.descriptors ? now : undefined;
  });
});

test('two players of different sizes play at the same time', async () => {
  const [small, large] = await Promise.all([
    peer(node.url, 'demo', '--width', '320', '--height', '180'),
    peer(node.url, 'demo', '--width', '640', '--height', '480'),
  ]);
  assert.deepEqual([small.sizes, large.sizes], [[[320, 180]], [[640, 480]]]);
  assert.notEqual(small.session, large.session);
});

test('a player that asks for sound hears it', async () => {
  const { heard, frames } = await peer(node.url, 'sync-test', '--frames', '5', '--sound');
  assert.equal(frames, 5);
  assert.deepEqual([heard.hertz, heard.channels], [48_000, 2]);
  assert.ok(heard.loudest > 1_000);
});
