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
import { GENTLE, launch, PATIENT, Tab } from './support/tab.mjs';

let chain, node, browser, state;
before(async () => {
  chain = await DevelopmentChain.start();
  // Receipts and trials of other tests are not this one's.
  state = mkdtempSync(join(tmpdir(), 'nearlight-rented-'));
  node = await Node.start({ ...chain.settings, 'chain.ledger': join(state, 'ledger'), 'sessions.away': '5m' });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
  await chain?.stop();
  rmSync(state, { recursive: true, force: true });
});

const query = `?play=demo&${GENTLE}&${PATIENT}`;
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
/** Planck as people read them. */
const inDbc = (planck) => `${planck.padStart(16, '0').replace(/(\d{15})$/, '.$1').replace(/\.?0+$/, '')} DBC`;
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

async function openLease(tab) {
  const { page } = tab;
  await tab.press(page.getByRole('button', { name: 'Menu', exact: true }));
  await page.getByRole('menuitem', { name: 'Lease' }).click();
}

test('the catalogue says what the machine costs, and asks who comes before anything is played', async () => {
  const order = await rent('alice');
  await known(order);
  await until('a price', async () => (await (await node.fetch('api/v1/lease')).json()).price);
  const { entries } = await (await node.fetch('api/v1/catalogue')).json();
  const { title } = entries.find(({ id }) => id === 'demo');
  await open(async (tab) => {
    const { page } = tab;
    const notice = page.getByRole('region', { name: 'This machine is for rent' });
    await notice.waitFor();
    const quote = await chain.nearlight('alice', 'quote', '--blocks', '300');
    const text = await notice.innerText();
    for (const planck of [quote.rent_planck, quote.fixed_planck]) assert.ok(text.includes(inDbc(planck)), `${inDbc(planck)}: ${text}`);
    assert.match(text, /\d of 4 cards (is|are) free/);
    assert.ok(text.includes(chain.is.machine));
    // The door comes before the session, not after a refusal.
    await page.getByRole('button', { name: `Play ${title}`, exact: true }).click();
    await prove(tab, order, 'Alice');
    await tab.state('live');
    await tab.leave();
    await page.getByRole('region', { name: `You are in by order ${order}` }).waitFor();
  }, `?${GENTLE}&${PATIENT}`);
});

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
    await openLease(tab);
    const box = page.getByRole('complementary', { name: 'Lease' });
    await until('two signed slices', async () => {
      const [, count] = /Signed here\s*(\d+) slices/.exec(await box.innerText()) ?? [];
      return Number(count) >= 2 ? true : undefined;
    });
    assert.match(await box.innerText(), /Charged\s*[\d.]+ DBC/);
    // What there is of receipts grows while one looks.
    const goesOn = page.getByRole('list', { name: 'Receipts' }).getByRole('listitem').filter({ hasText: 'goes on' });
    const records = async () => Number(/(\d+) records/.exec(await goesOn.innerText())?.[1]);
    const recorded = await until('the receipts that go on', async () => ((await goesOn.count()) === 1 ? records() : undefined));
    await until('a record more', async () => ((await records()) > recorded ? true : undefined));

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
      // The last slice is durable with the record that closes them.
      if (all.some(({ closed }) => closed === undefined)) return undefined;
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
  // The node's own accounts say the same, to the last planck.
  const entries = async (...more) => (await promisify(execFile)(binary(), ['receipts', 'entries', '--node', node.url.replace(/\/$/, ''), '--token', OPERATOR, ...more])).stdout;
  const sum = (amounts) => amounts.reduce((all, amount) => all + BigInt(amount), 0n);
  const lines = JSON.parse(await entries()).flatMap((entry) => entry.lines).filter(({ account }) => account === `used/${order}`);
  const charged = sum(files.map((each) => each.charged_planck));
  assert.ok(charged > 0n);
  assert.equal(sum(lines.map(({ planck }) => planck)), charged);
  const [head, ...rows] = (await entries('--csv')).trim().split('\r\n');
  assert.match(head, /^number,key,kind/);
  assert.equal(sum(rows.map((row) => row.split(',')).filter((row) => row[4] === `used/${order}`).map((row) => row[5])), charged);
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
    // Nobody proved to this page who he is; what it plays by lets it read what it has to sign, and no more.
    await openLease(tab);
    const rows = tab.page.getByRole('list', { name: 'Receipts' }).getByRole('listitem');
    await rows.first().waitFor();
    assert.equal(await rows.count(), 1);
    const { over_block: over } = await known(order);
    await chain.call('dev_newBlocks', over - (await chain.block()));
    await tab.state('ended');
    const whole = await until('every slice to be signed, the last one too', async () => {
      const of = (await read('')).find((each) => each.order === String(order));
      const file = await read(`/${of.receipts}`);
      return of.closed !== undefined && slicesOf(file).every(({ acknowledged }) => acknowledged !== undefined) ? file : undefined;
    });
    assert.ok(slicesOf(whole).length > before);
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
    await openLease(tab);
    // Those of the order are the renter's; his own session's are his, too.
    const rows = tab.page.getByRole('list', { name: 'Receipts' }).getByRole('listitem');
    await rows.first().waitFor();
    assert.equal(await rows.count(), 1);
    assert.ok((await read('')).filter((each) => each.order === String(order)).length >= 1);
  }, `${query}${fragment}`);
  // It was for once.
  await open(async ({ page }) => {
    await page.locator('.door .failure', { hasText: /as often as it may be/ }).waitFor();
  }, `${query}${fragment}`);
});
