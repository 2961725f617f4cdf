// Links that hand a session on, and addresses that begin one: what they do in a new tab and in one that is
// already here.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Node, until } from './support/node.mjs';
import { writeBlocks } from './support/scene.mjs';
import { GENTLE, launch, Tab } from './support/tab.mjs';

let blocks, node, browser;
before(async () => {
  blocks = writeBlocks();
  node = await Node.start({ 'catalogue.scenes': JSON.stringify([blocks.folder]) });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
  blocks?.remove();
});

const open = (query, use, prepare) => Tab.with({ browser, node, query, prepare }, use);
/** What of a link comes after the node's own address. */
const queryOf = (session) => `?barcode=1${session.play_url.slice(session.play_url.indexOf('#'))}`;
const panel = (tab) => tab.page.locator('.panel').innerText();
/** Waits until this session plays. */
const plays = (tab, { id }) => tab.until((wanted) => window.nearlight.state.name === 'live' && window.nearlight.hello?.session === wanted, id);

test('a link plays once; then it says so and asks for no token', async () => {
  const session = await node.make(blocks.id);
  await open(queryOf(session), async (one) => {
    await plays(one, session);
    assert.equal(one.page.url(), `${node.url}?barcode=1`, 'the ticket is hidden');
    await open(queryOf(session), async (two) => {
      await two.state('refused');
      assert.match(await panel(two), /This link does not work any more/);
      assert.equal(await two.page.getByLabel('Access token').count(), 0);
      assert.equal(two.page.url(), `${node.url}?barcode=1`);
      await two.page.getByRole('button', { name: 'Back to the catalogue' }).click();
      await two.page.getByRole('heading', { name: 'Play', exact: true }).waitFor();
    });
    const all = await until('who plays to be there', async () => {
      const found = await node.sessions();
      return found.every(({ state }) => state === 'live') ? found : undefined;
    });
    assert.deepEqual(all.map(({ id }) => id), [session.id], 'who plays is not disturbed');
  });
});

test('a link to a session that is over says why it ended', async () => {
  const session = await node.make(blocks.id);
  await node.end(session);
  await open(queryOf(session), async (tab) => {
    await tab.state('ended');
    assert.match(await panel(tab), /The session has ended\s+The .+ ended the session\./);
    assert.deepEqual(await tab.page.locator('.panel button').allInnerTexts(), ['Back to the catalogue']);
  });
});

test('a link that is opened in a tab with this page is followed there, and hidden', async () => {
  const [first, second] = [await node.make(blocks.id), await node.make(blocks.id)];
  await open('', async (tab) => {
    const { page } = tab;
    await page.getByRole('button', { name: /^Play Nearlight/ }).waitFor();
    const follow = (link) => page.evaluate((address) => { window.location.href = address; }, link);
    await follow(first.play_url);
    await plays(tab, first);
    assert.equal(page.url(), node.url);
    await follow(second.play_url);
    await plays(tab, second);
    assert.equal(page.url(), node.url);
    assert.equal(await node.reasonOf(first), 'stopped_by_client');
    await page.goBack();
    await page.goBack();
    await page.getByRole('heading', { name: 'Play', exact: true }).waitFor();
    assert.equal(await node.reasonOf(second), 'stopped_by_client');
    assert.doesNotMatch(page.url(), /#/);
  });
});

test('a token that is put into the address of an open page is used, and hidden', async () => {
  const closed = await Node.start({ 'access.open': 'false' });
  try {
    await Tab.with({ browser, node: closed, query: `?play=demo&${GENTLE}` }, async (tab) => {
      await tab.state('refused');
      await tab.page.evaluate(() => { window.location.hash = 'token=e2e-operator'; });
      await tab.playing();
      assert.doesNotMatch(tab.page.url(), /#|token/);
    });
  } finally {
    assert.equal(await closed.stop(), 0);
  }
});

/** Keeps the catalogue from a page until `release` is called. */
function holdCatalogue() {
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  const prepare = (context) => context.route('**/api/v1/catalogue', async (route) => {
    await held;
    await route.continue();
  });
  return { prepare, release };
}

test('an address with an entry plays it at once; the catalogue only adds its name', async () => {
  const { prepare, release } = holdCatalogue();
  await open(`?play=demo&${GENTLE}`, async (tab) => {
    await tab.playing();
    const { entries } = await (await node.fetch('api/v1/catalogue')).json();
    const { title } = entries.find(({ id }) => id === 'demo');
    assert.notEqual(await tab.page.locator('.bar .title').innerText(), title);
    release();
    await tab.page.getByRole('application', { name: `Picture of ${title}` }).waitFor();
    assert.equal(await tab.page.locator('.bar .title').innerText(), title);
    assert.match(await tab.page.title(), new RegExp(`^${title} `));
  }, prepare);
});

test('a catalogue that comes after the user went back starts nothing', async () => {
  const { prepare, release } = holdCatalogue();
  await open(`?play=demo&${GENTLE}`, async (tab) => {
    const { page } = tab;
    const [session] = await node.sessionsToBe(1);
    await tab.press(page.getByRole('button', { name: /^(Cancel|Leave)$/ }).first());
    await page.getByRole('heading', { name: 'Play', exact: true }).waitFor();
    await node.reasonOf(session);
    await node.sessionsToBe(0);
    const ended = node.records('session ended').length;
    release();
    await page.getByRole('button', { name: /^Play Nearlight/ }).waitFor();
    assert.equal(await page.evaluate(() => window.nearlight.state.name), 'idle');
    assert.deepEqual([(await node.sessions()).length, node.records('session ended').length], [0, ended]);
  }, prepare);
});
