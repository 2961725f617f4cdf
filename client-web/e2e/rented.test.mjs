// A machine that is rented, from the order to its end, by a real chain of development: the page proves who rents it, plays a
// trial and then the order, shows what is left and what was metered, and signs the receipts, which a file of them proves.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { DevelopmentChain } from './support/chain.mjs';
import { binary, Node, OPERATOR, until } from './support/node.mjs';
import { GENTLE, launch, Tab } from './support/tab.mjs';

let chain, node, browser, state;
before(async () => {
  chain = await DevelopmentChain.start();
  // Receipts and trials of other tests are not this one's.
  state = mkdtempSync(join(tmpdir(), 'nearlight-rented-'));
  node = await Node.start({ ...chain.settings, 'chain.ledger': join(state, 'ledger') });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
  await chain?.stop();
  rmSync(state, { recursive: true, force: true });
});

const query = `?play=demo&${GENTLE}`;
const open = (use, where = query) => Tab.with({ browser, node, query: where }, use);
const rent = async (who, blocks = 300) => (await chain.nearlight(who, 'rent', '--cards', '1', '--blocks', String(blocks), '--ceiling', '500000 DBC')).order;
const badge = (tab) => tab.page.locator('.bar .lease').textContent();
/** The node knows the order. */
const known = (order) => until(`order ${order}`, async () => {
  const { orders } = await (await node.fetch('api/v1/lease')).json();
  return orders.find((each) => each.order === String(order));
});

/** Of the node's receipts, as its operator. */
async function read(path) {
  const answer = await node.fetch(`api/v1/lease/receipts${path}`, { headers: { authorization: `Bearer ${OPERATOR}` } });
  assert.equal(answer.status, 200);
  return answer.json();
}
/** What lies between a chain's first and its last record. */
const slicesOf = ({ records }) => records.slice(1, -1);
/** What the command says of them that needs nothing but the machine's key. */
async function verify(name, text) {
  const file = join(state, `${name}.json`);
  writeFileSync(file, text);
  return (await promisify(execFile)(binary(), ['receipts', 'verify', file, '--machine', chain.is.machine])).stdout;
}

/** Proves at the door, with the keys that everybody knows, that this account has this order. */
async function prove({ page }, order, name) {
  await page.getByRole('button', { name: `Sign for order ${order} with development keys` }).click();
  await page.getByRole('button', { name: `Sign for order ${order} as ${name}` }).click();
}

test('an order is tried, confirmed, played, prolonged, and ends in its block; its receipts prove what was used', async () => {
  const order = await rent('alice');
  await known(order);
  let files;
  await open(async (tab) => {
    const { page } = tab;
    await tab.state('refused');
    await page.getByRole('button', { name: 'I rent it' }).click();
    await prove(tab, order, 'Alice');
    await tab.state('live');
    await tab.until(() => document.querySelector('.bar .lease')?.textContent.startsWith('Trial'));

    await chain.nearlight('alice', 'confirm', String(order));
    await tab.until((wanted) => document.querySelector('.bar .lease')?.textContent.startsWith(`Order ${wanted}`), order);
    assert.match(await badge(tab), /^Order \d+ · \d+ min/);
    const { over_block: before } = await known(order);
    await chain.nearlight('alice', 'relet', String(order), '--blocks', '100', '--ceiling', '500000 DBC');
    const after = await until('the longer order', async () => {
      const { over_block: now } = await known(order);
      return now > before ? now : undefined;
    });
    assert.equal(after - before, 100);

    // Slices come while it is played, and are signed here.
    await page.getByRole('button', { name: 'Menu', exact: true }).click();
    await page.getByRole('menuitem', { name: 'Lease' }).click();
    const box = page.getByRole('complementary', { name: 'Lease' });
    await until('two signed slices', async () => {
      const [, count] = /Signed here\s*(\d+) slices/.exec(await box.innerText()) ?? [];
      return Number(count) >= 2 ? true : undefined;
    });
    assert.match(await box.innerText(), /Charged\s*[\d.]+ DBC/);

    // The block before the end changes nothing.
    await chain.call('dev_newBlocks', after - (await chain.block()) - 1);
    assert.equal(await chain.block(), after - 1);
    await tab.frames(5);
    await chain.call('dev_newBlocks', 1);
    await tab.state('ended');
    assert.match(await page.locator('.panel').innerText(), /rented for is over/);
    // The page signs what became durable after its connection had gone.
    files = await until('every slice is signed', async () => {
      const all = (await read('')).filter((each) => each.order === String(order));
      const whole = await Promise.all(all.map(async (of) => ({ ...of, file: await read(`/${of.receipts}`) })));
      return whole.every(({ file }) => slicesOf(file).every(({ acknowledged }) => acknowledged !== undefined)) ? whole : undefined;
    });
  });
  assert.deepEqual(files.map(({ trial }) => trial).sort(), [false, true]);
  for (const { receipts, trial, unpaid_ms: unpaid, file } of files) {
    assert.equal(unpaid, 0);
    assert.ok(trial || slicesOf(file).length >= 2);
    const text = JSON.stringify(file);
    assert.match(await verify(receipts, text), /slices/);
    // One digit of it, and they are not believed.
    await assert.rejects(verify(receipts, text.replace(/"signature":"(.)/, (_, digit) => `"signature":"${digit === '0' ? '1' : '0'}`)));
  }
});

test('another account is told that the order is not its own', async () => {
  const order = await rent('alice');
  await known(order);
  await open(async (tab) => {
    await tab.state('refused');
    await tab.page.getByRole('button', { name: 'I rent it' }).click();
    await prove(tab, order, 'Bob');
    await tab.page.locator('.door .failure', { hasText: 'another renter' }).waitFor();
  });
});

test('a page that is loaded again signs on, with the key of the one before', async () => {
  const order = await rent('bob');
  await known(order);
  await chain.nearlight('bob', 'confirm', String(order));
  await until('the confirmed order', async () => ((await known(order)).confirmed ? true : undefined));
  const signed = async () => {
    const of = (await read('')).find((each) => each.order === String(order));
    if (of === undefined) return 0;
    return (await read(`/${of.receipts}`)).records.filter(({ acknowledged }) => acknowledged !== undefined).length;
  };
  await open(async (tab) => {
    await tab.state('refused');
    await tab.page.getByRole('button', { name: 'I rent it' }).click();
    await prove(tab, order, 'Bob');
    await tab.state('live');
    await until('a signed slice', async () => ((await signed()) >= 1 ? true : undefined));
    await tab.page.reload();
    await tab.state('live');
    const before = await signed();
    await until('a slice that is signed after it', async () => ((await signed()) > before ? true : undefined));
  });
});

test('a guest comes in by a ticket, which is hidden from the address, and does what it allows', async () => {
  const order = await rent('bob');
  await known(order);
  await chain.nearlight('bob', 'confirm', String(order));
  await until('the confirmed order', async () => ((await known(order)).confirmed ? true : undefined));
  const { link } = await chain.nearlight('bob', 'ticket', String(order), '--node', node.url.replace(/\/$/, ''), '--allow', 'view,play,start,stop');
  const fragment = link.slice(link.indexOf('#'));
  await open(async (tab) => {
    await tab.state('live');
    assert.doesNotMatch(tab.page.url(), /#/);
    assert.match(await badge(tab), /^Order/);
    await tab.page.getByRole('button', { name: 'Menu', exact: true }).click();
    await tab.page.getByRole('menuitem', { name: 'Lease' }).click();
    // Receipts are the renter's.
    await tab.page.getByRole('complementary', { name: 'Lease' }).getByRole('alert').filter({ hasText: /renter/ }).waitFor();
  }, `${query}${fragment}`);
  // It was for once.
  await open(async ({ page }) => {
    await page.locator('.door .failure', { hasText: /as often as it may be/ }).waitFor();
  }, `${query}${fragment}`);
});
