// The clipboard between a real browser and a real game, each way: what is pasted comes back as what the game copied. Left out, with
// the reason, where this machine gives no sandboxes; NEARLIGHT_HOST=1 makes that a failure.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { choose, Exchange, playing, SMALL } from './support/exchange.mjs';
import { until } from './support/node.mjs';
import { alone } from './support/tab.mjs';

let exchange;
before(async () => { exchange = await Exchange.start(); });
after(async () => { await exchange?.stop(); });

const permissions = { options: { permissions: ['clipboard-read', 'clipboard-write'] } };
const game = (name, use) => playing(() => exchange, name, use, permissions);

const read = (tab) => tab.page.evaluate(() => window.navigator.clipboard.readText());
const write = (tab, text) => tab.page.evaluate((words) => window.navigator.clipboard.writeText(words), text);
/** Keys go by their place. */
const paste = (tab, keys = 'Control+KeyV') => tab.page.keyboard.press(keys);

game('text goes both ways, whatever is in it, and only once the player wants that', async (tab) => {
  const words = 'Grüße, 日本 😀\nzwei Zeilen';
  const put = await exchange.ask('clipboard', { method: 'PUT', headers: { 'content-type': 'text/plain;charset=utf-8' }, body: 'first' });
  assert.equal(put.status, 204);
  await write(tab, words);
  await paste(tab);
  // Nothing was asked for and nothing given: the game copies what it had before. When the page has that, the game has seen the key.
  await choose(tab, 'Clipboard', 'Both ways');
  await until('what the game copied of its own', async () => ((await read(tab)) === 'got first' ? true : undefined));
  await write(tab, words);
  await paste(tab);
  await until('what the game copied', async () => ((await read(tab)) === `got ${words}` ? true : undefined));
  const went = ['first', words].flatMap((text) => {
    const bytes = Buffer.byteLength(text);
    return [{ what: 'text', way: 'to_game', bytes, whole: true }, { what: 'text', way: 'from_game', bytes: bytes + 4, whole: true }];
  });
  // It is noted once it has gone, and logged after that.
  const all = await until('what went', async () => {
    const noted = await exchange.transfers();
    return noted.length >= went.length && exchange.logged().length >= went.length ? noted : undefined;
  });
  assert.deepEqual(all, went);
  assert.deepEqual(exchange.logged().slice(-went.length), went);
  assert.ok(!exchange.node.log().includes('Grüße'));
  // From the menu, for browsers and games with other keys.
  await write(tab, 'by the menu');
  await choose(tab, 'Paste now');
  await until('it to be said', async () => (((await tab.page.locator('.hint').textContent()) ?? '').includes('can be pasted') ? true : undefined));
  await tab.page.evaluate(() => { document.querySelector('.surface').focus(); });
  // The key has the browser say what is pasted once more.
  await paste(tab);
  await until('what the game copied', async () => ((await read(tab)) === 'got by the menu' ? true : undefined));
  // Off again: the game pastes what it has, and the page hears nothing of it.
  await choose(tab, 'Clipboard', 'Off');
  await write(tab, 'mine alone');
  await paste(tab);
  await until('what the game copied of its own', async () => {
    const answer = await exchange.ask('clipboard');
    return answer.status === 200 && (await answer.text()) === 'got got by the menu' ? true : undefined;
  });
  assert.equal(await read(tab), 'mine alone');
});

for (const transport of ['webrtc', 'webtransport', 'websocket']) {
  playing(() => exchange, `the page hears by ${transport} what the game copied`, async (tab) => {
    await tab.takes(transport);
    await write(tab, `pasted by ${transport}`);
    await choose(tab, 'Clipboard', 'Both ways');
    // As terminals have it; the game knows the key with Shift, too.
    await paste(tab, 'Control+Shift+KeyV');
    await until('what the game copied', async () => ((await read(tab)) === `got pasted by ${transport}` ? true : undefined));
  }, { ...permissions, query: `?play=exchange&${SMALL}&transport=${transport}`, prepare: alone(transport) });
}

game('an image goes both ways', async (tab) => {
  await choose(tab, 'Clipboard', 'Both ways');
  const draw = () => tab.page.evaluate(async () => {
    const canvas = document.createElement('canvas');
    Object.assign(canvas, { width: 40, height: 30 });
    const context = canvas.getContext('2d');
    context.fillStyle = '#c04020';
    context.fillRect(0, 0, 40, 30);
    context.fillStyle = '#2040c0';
    context.fillRect(5, 5, 10, 20);
    const png = await new Promise((resolve) => { canvas.toBlob(resolve, 'image/png'); });
    await window.navigator.clipboard.write([new window.ClipboardItem({ 'image/png': png })]);
  });
  await draw();
  await paste(tab);
  const went = await until('an image from the game', async () => {
    const all = await exchange.transfers();
    return all.length >= 2 ? all : undefined;
  });
  assert.deepEqual(went.map(({ what, way, whole }) => [what, way, whole]), [['image', 'to_game', true], ['image', 'from_game', true]]);
  assert.equal(went[0].bytes, went[1].bytes);
  await until('the image in the browser', async () => {
    const pixels = await tab.page.evaluate(async () => {
      const [item] = await window.navigator.clipboard.read();
      if (!item?.types.includes('image/png')) return undefined;
      const image = await window.createImageBitmap(await item.getType('image/png'));
      const canvas = document.createElement('canvas');
      Object.assign(canvas, { width: image.width, height: image.height });
      const context = canvas.getContext('2d');
      context.drawImage(image, 0, 0);
      const at = (x, y) => [...context.getImageData(x, y, 1, 1).data];
      return [image.width, image.height, at(1, 1), at(10, 10)];
    });
    return JSON.stringify(pixels) === JSON.stringify([40, 30, [192, 64, 32, 255], [32, 64, 192, 255]]) ? true : undefined;
  });
});

playing(() => exchange, 'where the browser lets nothing be copied by itself, the page asks for a click', async (tab) => {
  await tab.context.grantPermissions(['clipboard-read']);
  await tab.page.evaluate(() => {
    const { clipboard } = window.navigator;
    const writeText = clipboard.writeText.bind(clipboard);
    window.refuses = true;
    clipboard.writeText = (text) => (window.refuses ? Promise.reject(new Error('NotAllowedError')) : writeText(text));
  });
  await choose(tab, 'Clipboard', 'Copy from the game');
  const put = await exchange.ask('clipboard', { method: 'PUT', headers: { 'content-type': 'text/plain;charset=utf-8' }, body: 'by the API' });
  assert.equal(put.status, 204);
  await paste(tab);
  const copy = tab.page.getByRole('button', { name: 'Copy what the game copied' });
  await copy.waitFor();
  await tab.page.evaluate(() => { window.refuses = false; });
  await tab.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await copy.click();
  await until('it to be copied', async () => ((await read(tab)) === 'got by the API' ? true : undefined));
});

game('what is too large, wrong or of nobody that plays is refused', async (tab) => {
  const put = (type, body, headers = {}) => exchange.ask('clipboard', { method: 'PUT', headers: { 'content-type': type, ...headers }, body });
  const status = async (answer) => (await answer).status;
  assert.equal(await status(put('text/plain', 'a'.repeat(1 << 20))), 204);
  assert.equal(await status(put('text/plain', 'a'.repeat((1 << 20) + 1))), 413);
  assert.equal(await status(put('image/png', 'GIF89a')), 400);
  assert.equal(await status(put('text/plain', new Uint8Array([0xff]))), 400);
  assert.equal(await status(put('text/html', '<b>')), 415);
  assert.equal(await status(put('text/plain', 'x', { origin: 'http://evil.test' })), 403);
  // The game owns nothing now.
  assert.equal(await status(exchange.ask('clipboard')), 404);
  for (const path of ['clipboard', 'transfers', 'files']) {
    assert.equal(await status(exchange.ask(path, { headers: { authorization: 'Bearer wrong' } })), 401, path);
  }
  // Whoever watches has a token of its own, which is good for nothing here.
  const invited = await (await exchange.ask('invitations', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"role":"co_player"}' })).json();
  const invitation = new URL(`?${new URL(invited.url).hash.slice(1)}`, invited.url).searchParams.get('join');
  const joined = await (await exchange.node.fetch('api/v1/join', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ invitation }) })).json();
  assert.equal(joined.sharing, undefined);
  assert.equal(await status(exchange.ask('clipboard', { headers: { authorization: `Bearer ${joined.token}` } })), 401);
  assert.equal(await tab.page.evaluate(() => window.nearlight.state.name), 'live');
});

test('the node allows less than an entry asks for, and the page offers no more', async (t) => {
  const strict = await Exchange.start({ 'sharing.clipboard': 'to_game', 'sharing.text_size': '1 KiB' });
  try {
    await strict.play(t, async (tab) => {
      assert.deepEqual((await strict.node.sessions())[0].sharing.clipboard, { to_game: true, from_game: false, text_bytes: 1024, image_bytes: 16 << 20 });
      await choose(tab, 'Clipboard', 'Paste into the game');
      await tab.page.keyboard.press('Control+Alt+Shift+KeyM');
      const row = tab.page.getByRole('menuitem', { name: 'Clipboard' });
      await row.click();
      assert.equal(await row.locator('.value').textContent(), 'Off');
      await row.click();
      assert.equal(await row.locator('.value').textContent(), 'Paste into the game');
      await tab.page.keyboard.press('Escape');
      await write(tab, 'one way');
      await paste(tab);
      await until('what was pasted', async () => ((await strict.transfers()).length === 1 ? true : undefined));
      const answer = await strict.ask('clipboard');
      assert.equal(answer.status, 403);
      assert.match((await answer.json()).type, /not-shared$/);
      assert.equal(await read(tab), 'one way');
      await write(tab, 'x'.repeat(1025));
      await paste(tab);
      await until('it to be said', async () => (((await tab.page.locator('.hint').textContent()) ?? '').includes('too large') ? true : undefined));
      assert.equal((await strict.transfers()).length, 1);
    }, permissions);
  } finally {
    await strict.stop();
  }
});

test('an entry that asks for nothing shares nothing', async (t) => {
  const nothing = await Exchange.start({}, (toml) => toml.replace(/^\[sharing\][^[]*/m, ''));
  try {
    await nothing.play(t, async (tab) => {
      assert.equal((await nothing.node.sessions())[0].sharing, undefined);
      for (const path of ['clipboard', 'files', 'files/a', 'transfers']) assert.equal((await nothing.ask(path)).status, 403, path);
      await tab.page.keyboard.press('Control+Alt+Shift+KeyM');
      await tab.page.getByRole('menuitem', { name: 'Back to the picture' }).waitFor();
      for (const name of ['Clipboard', 'Files']) assert.equal(await tab.page.getByRole('menuitem', { name }).count(), 0, name);
    });
  } finally {
    await nothing.stop();
  }
});
