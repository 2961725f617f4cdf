// What players keep of games, in a real browser and a real sandbox: a terminal whose folders are kept. Left out, with the reason, where
// that is not installed or this machine gives no sandboxes; NEARLIGHT_HOST=1 makes that a failure.
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Node, until } from './support/node.mjs';
import { SavesOnPage } from './support/saves.mjs';
import { changed, launch, PATIENT, Tab } from './support/tab.mjs';

const TERMINAL = fileURLToPath(new URL('../../games/terminal', import.meta.url));
const SMALL = `width=640&height=360&fps=15&${PATIENT}`;

let run, games, state, node, browser, entry;
before(async () => {
  [run, games, state] = ['nl-', 'nearlight-games-', 'nearlight-state-'].map((name) => mkdtempSync(join(tmpdir(), name)));
  // Users that games run as pass through both, wherever this lies.
  for (const folder of [run, games]) chmodSync(folder, 0o755);
  const folder = join(games, 'terminal');
  cpSync(TERMINAL, folder, { recursive: true });
  // Its own name of a folder would need Shift, which keys here go without.
  const toml = readFileSync(join(folder, 'game.toml'), 'utf8').replace('saves = ["Documents"]', 'saves = ["kept"]');
  writeFileSync(join(folder, 'game.toml'), toml);
  node = await Node.start({ 'games.max_cpus': '64.0', 'games.folders': JSON.stringify([games]), 'games.run': run, 'server.state_dir': state, 'catalogue.demo': 'false' });
  browser = await launch();
  const { entries } = await (await node.fetch('api/v1/catalogue')).json();
  entry = entries.find(({ id }) => id === 'terminal');
});
after(async () => {
  await browser?.close();
  await node?.stop();
  for (const folder of [run, games, state]) rmSync(folder, { recursive: true, force: true });
});

/** Runs this unless there are no sandboxes here. */
const real = (name, use) => test(name, async (t) => {
  assert.equal(entry?.saves, true);
  if (entry.unavailable !== undefined) {
    assert.ok(process.env.NEARLIGHT_HOST === undefined, entry.unavailable);
    t.skip(entry.unavailable);
    return;
  }
  await Tab.with({ browser, node, query: `?${SMALL}` }, (tab) => use(tab, new SavesOnPage(tab, 'Terminal')));
  await node.sessionsToBe(0);
});

/** Waits for the game behind a button that was pressed; yields what it began with. */
async function began(tab) {
  await tab.state('live');
  await tab.until(() => window.nearlight.hello?.saves !== undefined && window.nearlight.framesPresented > 0);
  return until('prompts', async () => {
    await tab.page.keyboard.press('Enter');
    if (new Set((await tab.picture()).map((value) => Math.round(value / 8))).size < 2) return undefined;
    return tab.page.evaluate(() => window.nearlight.hello.saves);
  });
}

/** Types a command, and waits until it is over: what is written then changes much of the picture, each time otherwise. */
let typed = 0;
async function type(tab, command) {
  // What is on its way from the command before is no change of this one's.
  let before = await tab.picture();
  await until('a picture that stands still', async () => {
    await tab.page.evaluate(() => new Promise((resolve) => { setTimeout(resolve, 300); }));
    const last = before;
    before = await tab.picture();
    return changed(last, before) < 0.01 ? true : undefined;
  });
  typed += 1;
  const start = String(typed).repeat(14);
  await tab.page.keyboard.type(`${command}; seq ${start}10 ${start}50`);
  await tab.page.keyboard.press('Enter');
  await tab.pictureChanges(before, 0.05);
}

/** Names in a version's archive. */
async function names(tab, id) {
  return namesIn(await archiveOf(tab, id));
}

async function archiveOf(tab, id) {
  const player = await tab.page.evaluate(() => window.localStorage.getItem('nearlight-player'));
  assert.match(player, /^[0-9a-f]{32}$/);
  const answer = await node.fetch(`api/v1/catalogue/terminal/saves/${id}`, { headers: { 'nearlight-player': player } });
  assert.equal(answer.status, 200);
  return Buffer.from(await answer.arrayBuffer());
}

function namesIn(archive) {
  const found = [];
  for (let at = 0; archive[at] !== 0;) {
    const text = (from, to) => archive.subarray(at + from, at + to).toString().replace(/\0.*$/s, '');
    found.push(text(0, 100));
    at += 512 + Math.ceil(parseInt(text(124, 136), 8) / 512) * 512;
  }
  return found;
}

const idOf = (row) => row.getAttribute('data-save');

real('what is saved is there again, older saves can be played from, and a damaged one is refused', async (tab, saves) => {
  await saves.play();
  assert.equal((await began(tab)).restored, undefined);
  await type(tab, 'mkdir kept');
  await saves.save();
  // Who saves by the menu plays on.
  await tab.page.keyboard.press('Control+Alt+Shift+KeyM');
  await tab.page.getByRole('menuitem', { name: 'Save', exact: true }).click();
  await tab.page.locator('.hint').getByText('Everything is saved already').waitFor();
  assert.ok(await tab.page.evaluate(() => document.activeElement.closest('.bar') === null), 'the focus is in the bar');
  await type(tab, 'mkdir kept/one');
  await saves.leave();
  // The button's version, and the last state.
  let list = await saves.rows(2);
  const [last, first] = await Promise.all(list.map(idOf));
  assert.equal(list.length, 2);
  assert.deepEqual(await names(tab, first), ['kept/']);
  assert.deepEqual(await names(tab, last), ['kept/', 'kept/one/']);

  await saves.play();
  assert.equal((await began(tab)).restored, last);
  // It fails unless the folder around it is there.
  await type(tab, 'mkdir kept/one/two');
  await saves.leave();
  list = await saves.rows(3);
  assert.equal(list.length, 3);
  const newest = await idOf(list[0]);
  assert.deepEqual(await names(tab, newest), ['kept/', 'kept/one/', 'kept/one/two/']);

  const [download] = await Promise.all([
    tab.page.waitForEvent('download'),
    list[1].getByRole('button', { name: /^Download the save of/ }).click(),
  ]);
  assert.equal(download.suggestedFilename(), `Terminal ${last}.tar`);
  assert.deepEqual(readFileSync(await download.path()), await archiveOf(tab, last));

  const keep = (row) => row.getByRole('button', { name: /^Keep the save of/ });
  for (const pressed of ['true', 'false']) {
    await keep(list[2]).click();
    await until('it to be so', async () => ((await keep(saves.card.locator(`[data-save="${first}"]`)).getAttribute('aria-pressed')) === pressed ? true : undefined));
  }

  await list[2].getByRole('button', { name: /^Play from the save of/ }).click();
  assert.equal((await began(tab)).restored, first);
  await saves.leave();
  list = await saves.rows(3);
  assert.equal(list.length, 3, 'nothing was changed, so nothing is saved');

  await list[2].getByRole('button', { name: /^Delete the save of/ }).click();
  await until('two of them', async () => ((await saves.card.locator('.saves li').count()) === 2 ? true : undefined));

  // Damaged on the disk.
  const folder = join(state, 'saves');
  const [player] = readdirSync(folder);
  const archive = join(folder, player, 'terminal', newest.padStart(12, '0'), 'files.tar');
  const bytes = readFileSync(archive);
  bytes[0] ^= 1;
  writeFileSync(archive, bytes);
  await saves.play();
  const told = await began(tab);
  assert.equal(told.restored, last);
  assert.equal(told.refused[0].id, newest);
  await until('words about it', async () => ((await tab.page.locator('[role=status]').allTextContents()).some((text) => text.includes(`Save ${newest} is not used`)) ? true : undefined));
  await saves.leave();
  assert.deepEqual(readFileSync(archive), bytes, 'it is kept as it is');
});

real('a crash keeps the last state, and another player has none of it', async (tab, saves) => {
  await saves.play();
  assert.equal((await began(tab)).restored, undefined);
  await type(tab, 'mkdir -p kept/crash');
  // Everything in the sandbox but its first process.
  await tab.page.keyboard.type('kill -9 -1');
  await tab.page.keyboard.press('Enter');
  await tab.state('ended');
  await tab.page.getByRole('button', { name: 'Back to the catalogue' }).click();
  const list = await saves.rows(1);
  assert.equal(list.length, 1);
  assert.deepEqual(await names(tab, await idOf(list[0])), ['kept/', 'kept/crash/']);
});

/** Has the node look at its games again. */
async function look() {
  const before = node.records('games looked at again').length;
  process.kill(node.pid, 'SIGHUP');
  await until('a look', () => (node.records('games looked at again').length > before ? true : undefined));
}

real('what was saved of a game that is not on offer any more can be had and deleted, and played once it is back', async (tab, saves) => {
  await saves.play();
  await began(tab);
  await type(tab, 'mkdir -p kept/left');
  await saves.save();
  await saves.leave();
  const [last] = await saves.rows(1);
  const id = await idOf(last);
  const [there, away] = [join(games, 'terminal'), join(run, 'away')];
  renameSync(there, away);
  await look();
  await tab.page.reload();
  const left = tab.page.getByRole('region', { name: 'Not on offer any more' }).getByRole('article', { name: 'terminal' });
  await left.getByText('Saved games').click();
  await left.getByText('It is not on offer here any more. What was saved of it is kept.').waitFor();
  const row = left.locator(`[data-save="${id}"]`);
  assert.equal(await left.getByRole('button', { name: /Play|afresh/ }).filter({ visible: true }).count(), 0, 'nothing can be played');
  const [download] = await Promise.all([tab.page.waitForEvent('download'), row.getByRole('button', { name: /^Download/ }).click()]);
  assert.ok(namesIn(readFileSync(await download.path())).includes('kept/left/'));
  renameSync(away, there);
  await look();
  await tab.page.reload();
  await saves.rows(1);
  assert.equal(await tab.page.getByRole('region', { name: 'Not on offer any more' }).count(), 0);
  renameSync(there, away);
  await look();
  await tab.page.reload();
  await left.getByText('Saved games').click();
  await row.getByRole('button', { name: /^Delete/ }).click();
  await left.getByText('Nothing is saved yet.').waitFor();
  renameSync(away, there);
  await look();
});
