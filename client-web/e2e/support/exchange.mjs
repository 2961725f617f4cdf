// A node with the game of support/exchange, for tests of what goes between a game and its player's machine.
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Node, OPERATOR, until } from './node.mjs';
import { launch, PATIENT, Tab } from './tab.mjs';

const GAME = fileURLToPath(new URL('exchange', import.meta.url));
export const SMALL = `width=640&height=360&fps=15&${PATIENT}`;

export class Exchange {
  /** Starts it with these settings, and an entry in which `change` may replace something. */
  static async start(settings = {}, change = (toml) => toml) {
    const it = new Exchange();
    // Users that games run as pass through both, wherever this lies.
    it.folders = ['nl-', 'nearlight-games-'].map((name) => mkdtempSync(join(tmpdir(), name)));
    for (const folder of it.folders) chmodSync(folder, 0o755);
    const [run, games] = it.folders;
    cpSync(GAME, join(games, 'exchange'), { recursive: true });
    const toml = join(games, 'exchange/game.toml');
    writeFileSync(toml, change(readFileSync(toml, 'utf8')));
    it.node = await Node.start({ 'games.max_cpus': '64.0', 'games.folders': JSON.stringify([games]), 'games.run': run, 'catalogue.demo': 'false', ...settings });
    it.browser = await launch();
    const { entries } = await (await it.node.fetch('api/v1/catalogue')).json();
    it.entry = entries.find(({ id }) => id === 'exchange');
    return it;
  }

  async stop() {
    await this.browser?.close();
    await this.node?.stop();
    for (const folder of this.folders) rmSync(folder, { recursive: true, force: true });
  }

  /** Plays it in a tab, unless there are no sandboxes here. */
  async play(t, use, options = {}) {
    if (this.entry.unavailable !== undefined) {
      assert.ok(process.env.NEARLIGHT_HOST === undefined, this.entry.unavailable);
      t.skip(this.entry.unavailable);
      return;
    }
    await Tab.with({ browser: this.browser, node: this.node, query: `?play=exchange&${SMALL}`, ...options }, async (tab) => {
      await tab.state('live');
      await until('pictures', async () => ((await tab.presented()) > 0 ? true : undefined));
      await use(tab);
    });
    await this.node.sessionsToBe(0);
  }

  /** Asks something of the one session there is, as its operator. */
  async ask(path, init = {}) {
    const [{ url }] = await this.node.sessions();
    return fetch(`${url}/${path}`, { ...init, headers: { authorization: `Bearer ${OPERATOR}`, ...init.headers } });
  }

  /** What went, without when. */
  async transfers() {
    const answer = await this.ask('transfers');
    assert.equal(answer.status, 200);
    return (await answer.json()).map(({ what, way, bytes, whole }) => ({ what, way, bytes, whole }));
  }

  /** What its log says went. */
  logged() {
    return this.node.records('transfer').map(({ fields: { what, way, bytes, whole } }) => ({ what, way, bytes, whole }));
  }
}

/** A test that plays it. */
export const playing = (exchange, name, use, options) => test(name, async (t) => exchange().play(t, use, options));

/** Chooses from the session's menu: presses the row until it shows this. */
export async function choose(tab, label, value) {
  const row = tab.page.getByRole('menuitem', { name: label, exact: value === undefined });
  await tab.page.keyboard.press('Control+Alt+Shift+KeyM');
  await row.waitFor();
  if (value === undefined) {
    await row.click();
    return;
  }
  await until(`${label}: ${value}`, async () => {
    if ((await row.locator('.value').textContent()) === value) return true;
    await row.click();
    return undefined;
  });
  await tab.page.keyboard.press('Escape');
}
