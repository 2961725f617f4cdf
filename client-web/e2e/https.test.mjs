// A node with a certificate of its own, as it serves other machines of a network.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DEADLINE_MS, Node } from './support/node.mjs';
import { writeBlocks } from './support/scene.mjs';
import { GENTLE, launch, Tab } from './support/tab.mjs';

let blocks, state, node, browser;
before(async () => {
  blocks = writeBlocks();
  state = mkdtempSync(join(tmpdir(), 'nearlight-'));
  node = await Node.start({
    'catalogue.scenes': JSON.stringify([blocks.folder]),
    'server.tls': 'self-signed',
    'server.state_dir': state,
  });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
  blocks?.remove();
  rmSync(state, { recursive: true, force: true });
});

test('who goes on past the warning plays over HTTPS', async () => {
  assert.match(node.url, /^https:/);
  const [told] = node.records('the certificate is self-signed: a browser warns once; go on only if it shows this fingerprint');
  assert.match(told.fields.sha256, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  const options = { ignoreHTTPSErrors: true };
  await Tab.with({ browser, node, query: `?play=${blocks.id}&${GENTLE}`, options }, async (tab) => {
    await tab.playing();
    assert.ok(await tab.page.evaluate(() => window.isSecureContext));
  });
});

test('a browser that was not told refuses the certificate', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await assert.rejects(page.goto(node.url, { timeout: DEADLINE_MS }), /ERR_CERT_AUTHORITY_INVALID/);
  await context.close();
});
