// Text from real Chromium to a real terminal in a sandbox: eight layouts and more, dead keys, compositions, an on-screen
// keyboard. Keys are those of the browser's own interface for tests (Chrome DevTools Protocol, Input), which says what a key types
// as a system with that layout would. What the terminal was sent is read from what its game saved. Left out, with the reason,
// where there is no terminal or this machine gives no sandboxes; NEARLIGHT_HOST=1 makes that a failure.
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { HAPPENS } from './support/happens.mjs';
import { CO_PLAYER, invite, SPECTATOR } from './support/invite.mjs';
import { Node, OPERATOR, until } from './support/node.mjs';
import { launch, PATIENT, Tab } from './support/tab.mjs';
import { Way } from './support/way.mjs';

const TERMINAL = fileURLToPath(new URL('../../games/terminal', import.meta.url));
const TYPED = fileURLToPath(new URL('support/typed/typed.py', import.meta.url));
const SMALL = 'width=640&height=360&fps=15&transport=webrtc';

let run, games, state, node, browser, entry;
before(async () => {
  [run, games, state] = ['nl-', 'nearlight-games-', 'nearlight-state-'].map((name) => mkdtempSync(join(tmpdir(), name)));
  // Users that games run as pass through both, wherever this lies.
  for (const folder of [run, games]) chmodSync(folder, 0o755);
  // The shipped entry, but that it runs the program which writes down what it is sent.
  const folder = join(games, 'typed');
  cpSync(TERMINAL, folder, { recursive: true });
  cpSync(TYPED, join(folder, 'typed.py'));
  const toml = readFileSync(join(folder, 'game.toml'), 'utf8').replace('"-e", "/bin/bash"', '"-e", "/usr/bin/python3", "{entry}/typed.py"');
  assert.match(toml, /typed\.py/);
  writeFileSync(join(folder, 'game.toml'), toml);
  node = await Node.start({ 'games.max_cpus': '64.0', 'games.folders': JSON.stringify([games]), 'games.run': run, 'server.state_dir': state, 'catalogue.demo': 'false', 'sessions.away': '5m' });
  browser = await launch();
  const { entries } = await (await node.fetch('api/v1/catalogue')).json();
  entry = entries.find(({ id }) => id === 'typed');
});
after(async () => {
  await browser?.close();
  await node?.stop();
  for (const folder of [run, games, state]) rmSync(folder, { recursive: true, force: true });
});

/**
 * Types with `use`, which is given the tab, the browser's own interface and the way to the node, where one was asked for; what
 * arrived must be what it yields.
 */
const types = (name, use, options = {}, asked = {}) => test(name, async (t) => {
  assert.equal(entry?.keyboard, 'text', node.log());
  if (entry.unavailable !== undefined) {
    assert.ok(process.env.NEARLIGHT_HOST === undefined, entry.unavailable);
    t.skip(entry.unavailable);
    return;
  }
  const way = asked.way === true ? await Way.to(node.url) : undefined;
  const there = way === undefined ? node : { url: way.url, log: () => node.log() };
  const prepare = (context) => way?.prepare(context);
  const query = `?play=typed&${SMALL}${way === undefined ? `&${PATIENT}` : ''}`;
  await Tab.with({ browser, node: there, query, options, prepare }, async (tab) => {
    await tab.state('live');
    await until('a program that listens', async () => (new Set((await tab.picture()).map((value) => Math.round(value / 8))).size > 1 ? true : undefined));
    const cdp = await tab.context.newCDPSession(tab.page);
    const expected = await use(tab, cdp, way);
    await stroke(cdp, 'F12', 'F12');
    await tab.state('ended');
    const player = await tab.page.evaluate(() => window.localStorage.getItem('nearlight-player'));
    assert.equal(await saved(player), expected);
  }).finally(() => way?.close());
  await node.sessionsToBe(0);
});

/** What the terminal of the one session that there is has been sent so far. */
async function sent() {
  const [{ url }] = await node.sessions();
  const answer = await fetch(`${url}/files/typed`, { headers: { authorization: `Bearer ${OPERATOR}` } });
  return answer.status === 200 ? answer.text() : '';
}

/** What the terminal was sent. */
async function saved(player) {
  const headers = { 'nearlight-player': player };
  const { saves } = await until('a save', async () => {
    const list = await (await node.fetch('api/v1/catalogue/typed/saves', { headers })).json();
    return list.saves.length > 0 && !list.playing ? list : undefined;
  });
  const archive = Buffer.from(await (await node.fetch(`api/v1/catalogue/typed/saves/${saves[0].id}`, { headers })).arrayBuffer());
  for (let at = 0; archive[at] !== 0;) {
    const text = (from, to) => archive.subarray(at + from, at + to).toString().replace(/\0.*$/s, '');
    const size = parseInt(text(124, 136), 8);
    if (text(0, 100) === 'Documents/typed') return archive.subarray(at + 512, at + 512 + size).toString();
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return assert.fail('nothing was written');
}

const ALT = 1, CTRL = 2, SHIFT = 8;
const send = (cdp, type, code, key, modifiers, more = {}) => cdp.send('Input.dispatchKeyEvent', { type, code, key, modifiers, ...more });

/** Strikes a key: as a system does whose layout makes `key` of it. */
async function stroke(cdp, code, key, modifiers = 0) {
  const types = [...key].length === 1 && (modifiers & (ALT | CTRL)) === 0;
  // Together: what is held while a machine stands still repeats.
  await Promise.all([
    send(cdp, types ? 'keyDown' : 'rawKeyDown', code, key, modifiers, types ? { text: key } : {}),
    send(cdp, 'keyUp', code, key, modifiers),
  ]);
}

/** What keys type in these layouts: alone, with Shift, with AltGr. */
const LAYOUTS = {
  us: { Backquote: '`~', Digit2: '2@', Quote: '\'"', Backslash: '\\|', KeyY: 'yY', KeyZ: 'zZ', Space: '  ' },
  gb: { Backquote: '`¬¦', Digit2: '2"', Digit3: '3£', Digit4: '4$€', Quote: '\'@', Backslash: '#~', IntlBackslash: '\\|' },
  de: { KeyY: 'zZ', KeyZ: 'yY', BracketLeft: 'üÜ', Semicolon: 'öÖ', Quote: 'äÄ', Minus: 'ß?\\', KeyQ: 'qQ@', KeyE: 'eE€', Digit7: '7/{', IntlBackslash: '<>|' },
  fr: { KeyQ: 'aA', KeyA: 'qQ', KeyW: 'zZ', KeyZ: 'wW', Semicolon: 'mM', Digit1: '&1', Digit2: 'é2~', Digit7: 'è7`', Digit9: 'ç9^', Digit0: 'à0@', Quote: 'ù%', Minus: ')°]' },
  es: { Semicolon: 'ñÑ', Backslash: 'çÇ}', Equal: '¡¿', Digit3: '3·#', Backquote: 'ºª\\', Slash: '-_', KeyE: 'eE€' },
  it: { BracketLeft: 'èé[', BracketRight: '+*]', Semicolon: 'òç@', Quote: 'à°#', Backslash: 'ù§', Equal: 'ì^' },
  ru: { KeyQ: 'йЙ', KeyA: 'фФ', KeyZ: 'яЯ', Backquote: 'ёЁ', BracketLeft: 'хХ', Quote: 'эЭ', Digit3: '3№', Slash: '.,' },
  jp: { Digit2: '2"', Minus: '-=', Equal: '^~', IntlYen: '¥|', BracketLeft: '@`', Semicolon: ';+', Quote: ':*', IntlRo: '\\_' },
  pl: { KeyA: 'aAą', KeyC: 'cCć', KeyE: 'eEę', KeyL: 'lLł', KeyN: 'nNń', KeyO: 'oOó', KeyS: 'sSś', KeyX: 'xXź', KeyZ: 'zZż' },
};

types('what the keys of nine layouts type arrives as typed', async (tab, cdp) => {
  let expected = '';
  for (const keys of Object.values(LAYOUTS)) {
    for (const [code, levels] of Object.entries(keys)) {
      const [plain, shifted, third] = levels;
      await stroke(cdp, code, plain);
      await send(cdp, 'rawKeyDown', 'ShiftLeft', 'Shift', SHIFT);
      await stroke(cdp, code, shifted, SHIFT);
      await send(cdp, 'keyUp', 'ShiftLeft', 'Shift', 0);
      if (third !== undefined) {
        await send(cdp, 'rawKeyDown', 'AltRight', 'AltGraph', 0);
        await stroke(cdp, code, third);
        await send(cdp, 'keyUp', 'AltRight', 'AltGraph', 0);
      }
      expected += levels;
    }
    await stroke(cdp, 'Enter', 'Enter');
    expected += '\r';
  }
  return expected;
});

types('keys that are no text are keys, and Ctrl goes by what is on a key', async (tab, cdp) => {
  const control = async (code, key) => {
    await send(cdp, 'rawKeyDown', 'ControlLeft', 'Control', CTRL);
    await stroke(cdp, code, key, CTRL);
    await send(cdp, 'keyUp', 'ControlLeft', 'Control', 0);
  };
  // Z of a German keyboard, A of a French one, Es of a Russian one.
  await control('KeyY', 'z');
  await control('KeyQ', 'a');
  await control('KeyC', 'с');
  for (const name of ['Escape', 'ArrowUp', 'Tab', 'Backspace', 'Enter', 'F5']) await stroke(cdp, name, name);
  await send(cdp, 'rawKeyDown', 'ShiftLeft', 'Shift', SHIFT);
  await stroke(cdp, 'Tab', 'Tab', SHIFT);
  await send(cdp, 'keyUp', 'ShiftLeft', 'Shift', 0);
  assert.equal(await tab.page.evaluate(() => document.activeElement.className), 'text-field', 'Tab does not leave it');
  return '\x1a\x01\x03\x1b\x1b[A\t\x7f\r\x1b[15~\x1b[Z';
});

types('dead keys and compositions arrive when they are done, and are seen until then', async (tab, cdp) => {
  const seen = () => tab.page.locator('.text-field').evaluate((field) => window.getComputedStyle(field).opacity === '1' && field.value);
  // A dead key, as systems with one do.
  await send(cdp, 'rawKeyDown', 'Equal', 'Dead', 0, { windowsVirtualKeyCode: 229 });
  await cdp.send('Input.imeSetComposition', { text: '´', selectionStart: 1, selectionEnd: 1 });
  assert.equal(await seen(), ' ´');
  await cdp.send('Input.insertText', { text: 'é' });
  assert.equal(await seen(), false);
  // As macOS and some browsers have it: the key that follows is the whole character.
  await send(cdp, 'rawKeyDown', 'Equal', 'Dead', 0);
  await send(cdp, 'keyUp', 'Equal', 'Dead', 0);
  await stroke(cdp, 'KeyN', 'ñ');
  // Kana by Latin letters, then made kanji of.
  for (const text of ['n', 'に', 'にh', 'にほ', 'にほん', '日本']) {
    await send(cdp, 'rawKeyDown', 'KeyN', 'Process', 0, { windowsVirtualKeyCode: 229 });
    await cdp.send('Input.imeSetComposition', { text, selectionStart: text.length, selectionEnd: text.length });
  }
  assert.equal(await seen(), ' 日本');
  await cdp.send('Input.insertText', { text: '日本' });
  // Given up.
  await cdp.send('Input.imeSetComposition', { text: 'x', selectionStart: 1, selectionEnd: 1 });
  await cdp.send('Input.imeSetComposition', { text: '', selectionStart: 0, selectionEnd: 0 });
  // Without a composition, of more than one line.
  await cdp.send('Input.insertText', { text: '🙂👩‍🚀\tnaïve\n한국어' });
  return 'éñ日本🙂👩‍🚀\tnaïve\r한국어';
});

types('an on-screen keyboard opens by a button, and types', async (tab, cdp) => {
  const { page } = tab;
  const focused = () => page.evaluate(() => document.activeElement.className);
  // It does not come by itself.
  assert.notEqual(await focused(), 'text-field');
  const button = page.getByRole('button', { name: 'Type text' });
  await tab.press(button, 'tap');
  // A tap is dispatched, and its click comes when the page has time.
  await until('the field', async () => ((await focused()) === 'text-field' ? true : undefined));
  // What Android says of its keys is nothing, and what it writes is all.
  const android = async (text) => {
    await send(cdp, 'rawKeyDown', '', 'Unidentified', 0, { windowsVirtualKeyCode: 229 });
    await text();
    await send(cdp, 'keyUp', '', 'Unidentified', 0, { windowsVirtualKeyCode: 229 });
  };
  // A word that is composed, as with suggestions.
  for (const text of ['h', 'he', 'hel']) {
    await android(() => cdp.send('Input.imeSetComposition', { text, selectionStart: text.length, selectionEnd: text.length }));
  }
  await cdp.send('Input.insertText', { text: 'hello' });
  for (const text of [' ', 'я', '日本', '🙂']) await android(() => cdp.send('Input.insertText', { text }));
  // Deleting is an edit without a key.
  for (const command of ['deleteBackward', 'deleteBackward']) {
    await send(cdp, 'rawKeyDown', '', 'Unidentified', 0, { windowsVirtualKeyCode: 229, commands: [command] });
  }
  // A finger on the picture leaves the keyboard where it is.
  await page.touchscreen.tap(...(await tab.at(0.7, 0.5)));
  assert.equal(await focused(), 'text-field');
  await android(() => cdp.send('Input.insertText', { text: 'x' }));
  await stroke(cdp, 'Enter', 'Enter');
  // Put away by the button; then keys are places.
  await tab.press(button, 'tap');
  await page.getByRole('button', { name: 'Type text', pressed: false }).waitFor();
  assert.notEqual(await focused(), 'text-field');
  await page.evaluate(() => { document.querySelector('.surface').focus(); });
  await stroke(cdp, 'KeyY', 'z');
  return 'hello я日本🙂\x7f\x7fx\ry';
}, { hasTouch: true, isMobile: true });

types('nothing stays pressed when the page loses the focus or goes, or keys become the other', async (tab, cdp) => {
  const { page } = tab;
  const button = page.getByRole('button', { name: 'Type text' });
  const leaves = [
    () => page.evaluate(() => { window.dispatchEvent(new window.Event('blur')); }),
    async () => {
      await page.evaluate(() => { window.told = window.nearlight.stats; });
      await tab.see('hidden');
      await tab.see('visible');
      // A page that is seen again doubts its path until it hears of the node.
      await tab.until(() => window.nearlight.stats !== window.told);
      await tab.state('live');
    },
    () => page.keyboard.press('Control+Alt+Shift+KeyT'),
    () => tab.press(button),
    async () => {
      await page.reload();
      await tab.state('live');
    },
  ];
  for (const leave of leaves) {
    await tab.inputs();
    await send(cdp, 'rawKeyDown', 'ShiftLeft', 'Shift', SHIFT);
    assert.deepEqual((await tab.inputs()).filter((kind) => kind === 'key'), ['key'], String(leave));
    await leave();
    assert.ok((await tab.inputs()).includes('release-all'), String(leave));
    await send(cdp, 'keyUp', 'ShiftLeft', 'Shift', 0);
    assert.ok(!(await tab.inputs()).includes('key'), 'it is up already');
    await page.evaluate(() => { document.querySelector('.surface').focus(); });
    await stroke(cdp, 'Tab', 'Tab');
  }
  // With Shift held they would be others.
  return '\t'.repeat(leaves.length);
});

types('what keys are is chosen in the menu, and single keys are others by the player’s wish', async (tab, cdp) => {
  const { page } = tab;
  const menu = page.getByRole('menu', { name: 'Session' });
  const choose = async (name) => {
    await page.keyboard.press('Control+Alt+Shift+KeyM');
    await menu.getByRole('menuitem', { name }).click();
  };
  // Z of a German keyboard: as text, then by its place.
  await stroke(cdp, 'KeyY', 'z');
  await choose(/^Keyboard/);
  assert.match(await menu.getByRole('menuitem', { name: /^Keyboard/ }).innerText(), /Keys by their place/);
  await page.keyboard.press('Escape');
  await stroke(cdp, 'KeyY', 'z');
  await choose(/^Keys$/);
  const box = page.getByRole('complementary', { name: 'Keys' });
  await box.getByRole('button', { name: 'Change a key' }).click();
  await stroke(cdp, 'KeyY', 'z');
  await box.getByText('Press the key that Y is to be').waitFor();
  await stroke(cdp, 'KeyQ', 'q');
  await box.getByText('Y is Q').waitFor();
  await choose(/^Keys$/);
  await stroke(cdp, 'KeyY', 'z');
  // It is so after a reload, too, until it is taken back.
  await page.reload();
  await tab.state('live');
  await page.keyboard.press('Control+Alt+Shift+KeyT');
  await stroke(cdp, 'KeyY', 'z');
  await choose(/^Keys$/);
  await box.getByRole('button', { name: 'Forget what Y is' }).click();
  await choose(/^Controllers$/);
  await page.getByRole('complementary', { name: 'Controllers' }).waitFor();
  assert.equal(await box.isVisible(), false, 'one box at a time');
  await choose(/^Controllers$/);
  await stroke(cdp, 'KeyY', 'z');
  return 'zyqqy';
});

types('a path that breaks leaves nothing pressed, and keys are text as before', async (tab, cdp, way) => {
  const { page } = tab;
  await stroke(cdp, 'KeyY', 'z');
  for (const what of ['change', 'silence']) {
    await send(cdp, 'rawKeyDown', 'ShiftLeft', 'Shift', SHIFT);
    const seen = tab.until(() => window.nearlight.state.name !== 'live');
    await HAPPENS[what]({ way, page, seen }, 4_000);
    // It is let go of where nobody hears of it.
    await send(cdp, 'keyUp', 'ShiftLeft', 'Shift', 0);
    await tab.state('live');
    await tab.hears();
    assert.equal(await page.evaluate(() => document.activeElement.className), 'text-field');
    // With Shift held it would be another.
    await stroke(cdp, 'Tab', 'Tab');
    await cdp.send('Input.insertText', { text: 'é日' });
    await stroke(cdp, 'KeyQ', '@');
  }
  return 'z\té日@\té日@';
}, {}, { way: true });

types('a guest types once its role lets it, and nothing as a spectator', async (tab, cdp) => {
  const join = (link, use) => Tab.with({ browser, node, query: `?${SMALL}&${PATIENT}${link.slice(link.indexOf('#'))}` }, async (guest) => {
    await guest.state('live');
    await use(guest, await guest.context.newCDPSession(guest.page));
  });
  const links = { spectator: await invite(tab, SPECTATOR), co_player: await invite(tab, CO_PLAYER) };
  const role = (guest) => guest.page.evaluate(() => window.nearlight.hello?.role);
  await join(links.spectator, async (guest, keys) => {
    assert.equal(await role(guest), 'spectator');
    await guest.page.locator('.surface').focus();
    await stroke(keys, 'KeyY', 'x');
    await keys.send('Input.insertText', { text: 'ü' });
    assert.deepEqual(await guest.inputs(), []);
    // The same tab, by the other link.
    await guest.page.goto('about:blank');
    await guest.page.goto(`${node.url}?${SMALL}&${PATIENT}${links.co_player.slice(links.co_player.indexOf('#'))}`);
    await guest.until(() => window.nearlight?.hello?.role === 'co_player');
    await guest.state('live');
    await guest.page.locator('.surface').focus();
    await stroke(keys, 'KeyY', 'z');
    await keys.send('Input.insertText', { text: 'ñ本' });
    await guest.until(() => document.activeElement.className === 'text-field');
    // What is on its way when a guest leaves is not typed any more.
    await until('what the guest typed', async () => ((await sent()) === 'zñ本' ? true : undefined));
    await guest.leave();
  });
  await tab.page.locator('.surface').focus();
  await stroke(cdp, 'KeyA', 'q');
  return 'zñ本q';
});
