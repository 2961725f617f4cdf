// Freedoom on a fixed level where nothing else moves, in a real browser. Left out, with the reason, where it is not installed or this
// machine gives no sandboxes; NEARLIGHT_HOST=1 makes that a failure.
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Node, until } from './support/node.mjs';
import { SavesOnPage } from './support/saves.mjs';
import { changed, launch, PATIENT, Tab } from './support/tab.mjs';

const FREEDOOM = fileURLToPath(new URL('../../games/freedoom', import.meta.url));

let run, games, node, browser, entry;
before(async () => {
  // Users that games run as pass through both.
  [run, games] = ['nl-', 'nearlight-games-'].map((name) => mkdtempSync(join(tmpdir(), name)));
  for (const folder of [run, games]) chmodSync(folder, 0o755);
  cpSync(FREEDOOM, join(games, 'level'), { recursive: true });
  const toml = join(games, 'level/game.toml');
  writeFileSync(toml, readFileSync(toml, 'utf8').replace('"-nogui",', '"-nogui", "-warp", "1", "1", "-nomonsters",'));
  node = await Node.start({ 'games.max_cpus': '64.0', 'games.folders': JSON.stringify([games]), 'games.run': run, 'sessions.away': '5m' });
  browser = await launch();
  const { entries } = await (await node.fetch('api/v1/catalogue')).json();
  entry = entries.find(({ id }) => id === 'level');
});
after(async () => {
  await browser?.close();
  await node?.stop();
  for (const folder of [run, games]) rmSync(folder, { recursive: true, force: true });
});

/** Two looks at the same place, but for what the game writes over it for a while. */
const SAME = 0.05;

/** A level that is there, and where nothing moves. */
const stands = (tab) => until('a picture that stands still', async () => {
  const before = await tab.picture();
  const bright = before.filter((value) => value > 30).length / before.length;
  for (let look = 0; look < 5; look += 1) {
    await new Promise((resolve) => { setTimeout(resolve, 100); });
    if (bright < 0.3 || changed(before, await tab.picture()) > 0.02) return undefined;
  }
  return before;
});

/** Looks at a picture that stands still, of half a second each: a machine without time shows nothing new for longer than some. */
const LOOKS = 6;

/** A place where as many looks in a row agree. */
const rests = (tab) => until('a place', async () => {
  const to = await stands(tab);
  for (let look = 1; look < LOOKS; look += 1) if (changed(to, await stands(tab)) >= SAME) return undefined;
  return to;
});

/** Runs this unless the game cannot be had here. */
const real = (name, use) => test(name, async (t) => {
  assert.equal(entry?.kind, 'game', node.log());
  if (entry.unavailable !== undefined) {
    assert.ok(process.env.NEARLIGHT_HOST === undefined, entry.unavailable);
    t.skip(entry.unavailable);
    return;
  }
  await use();
});

for (const transport of ['webrtc', 'webtransport']) {
  real(`a key walks and a captured mouse turns in Freedoom, which is the same after a reload, by ${transport}`, async () => {
    const query = `?play=level&width=640&height=360&fps=15&transport=${transport}&${PATIENT}`;
    await Tab.with({ browser, node, query }, async (tab) => {
      const { page } = tab;
      await tab.state('live');
      await moves(tab, 'w');

      // A click fires, too: what comes of that passes.
      const [x, y] = await tab.at(0.5, 0.5);
      await page.mouse.click(x, y);
      await tab.until(() => document.pointerLockElement !== null);
      const captured = await rests(tab);
      for (let step = 1; step <= 20; step += 1) await page.mouse.move(x + step * 20, y);
      await tab.pictureChanges(captured, 0.3);
      const turned = await rests(tab);
      assert.ok((await tab.inputs()).includes('relative'));

      await page.reload();
      await tab.state('live');
      await until('the same picture', async () => (changed(turned, await tab.picture()) < 0.05 ? true : undefined));
    });
    await node.sessionsToBe(0);
  });
}

/** The means of parts of a picture, which are the same however large it is drawn: looks at single places are not. */
const parts = (picture) => Array.from({ length: 300 }, (_, part) => {
  const [left, top] = [(part % 20) * 4, Math.floor(part / 20) * 3];
  const cells = [0, 1, 2].flatMap((row) => picture.slice((top + row) * 80 + left, (top + row) * 80 + left + 4));
  return cells.reduce((sum, value) => sum + value, 0) / cells.length;
});
/** Of a level that is drawn larger or smaller less than a tenth differs; of a part of it, or with a part of the screen left dark, half. */
const RESIZED = 0.25;

real('Freedoom draws in the size that the window has become, in the shape that it began with', async () => {
  const query = `?play=level&fps=15&transport=webrtc&${PATIENT}`;
  await Tab.with({ browser, node, query }, async (tab) => {
    await tab.state('live');
    // A window that kept its size would leave a part of the picture dark, or be cut: all of the level is to be seen, as at first.
    const shows = async (width, height, level) => until(`the level of ${width}x${height}`, async () => {
      const told = await tab.page.evaluate(() => {
        const { size, stats, hello } = window.nearlight;
        return [[size.width, size.height], stats?.coded ?? [], [hello.video.width, hello.video.height]];
      });
      if (!told.every(([wide, high]) => wide === width && high === height)) return undefined;
      const picture = await tab.picture();
      return level === undefined || changed(parts(level), parts(picture)) < RESIZED ? picture : undefined;
    });
    await shows(960, 600);
    const level = await rests(tab);
    await tab.page.setViewportSize({ width: 1200, height: 700 });
    await shows(1120, 700, level);
    await tab.page.setViewportSize({ width: 700, height: 700 });
    await shows(700, 436, level);
    await tab.page.setViewportSize({ width: 960, height: 600 });
    await shows(960, 600, level);
  });
  await node.sessionsToBe(0);
});

/** Of its help and of the level nearly all differs; of the level with a menu over it and without a quarter or so. */
const HELP = 0.6;

for (const transport of ['webrtc', 'webtransport']) {
  real(`Freedoom shows its help for a key, and the level again after it, by ${transport}`, async () => {
    const query = `?play=level&width=640&height=360&fps=15&transport=${transport}&${PATIENT}`;
    await Tab.with({ browser, node, query }, async (tab) => {
      await tab.state('live');
      // Nothing else plays here, so that what comes is the key's.
      const place = await rests(tab);
      await until('its help', async () => {
        // Where it is there already, once more changes nothing.
        await presses(tab, 'F1');
        return (await soon(tab, (picture) => changed(place, picture) > HELP)) ? true : undefined;
      });
      await until('the level', async () => {
        // One too many opens a menu, and the next closes that.
        await presses(tab, 'Escape');
        return (await soon(tab, (picture) => changed(place, picture) < SAME)) ? true : undefined;
      });
    });
    await node.sessionsToBe(0);
  });
}

/** Presses a key until much of the picture is another; the place where the player stands then. */
async function moves(tab, key) {
  const from = await stands(tab);
  // In steps: while a slow machine shows what came of a key that is held, the player would go on, or once round.
  return until('another place', async () => {
    await tab.page.keyboard.press(key, { delay: 150 });
    if (changed(from, await stands(tab)) <= 0.3) return undefined;
    // What was pressed before it showed may show yet.
    const to = await rests(tab);
    return changed(from, to) > 0.3 ? to : undefined;
  });
}

const isAt = (tab, place) => until('the picture of the saved place', async () => (changed(place, await tab.picture()) < SAME ? true : undefined));

/** Presses keys of the game's menu one after the other: it takes each in a thirty-fifth of a second. */
async function presses(tab, ...keys) {
  for (const key of keys) {
    await tab.page.keyboard.press(key, { delay: 100 });
    await new Promise((resolve) => { setTimeout(resolve, 400); });
  }
}

/** Whether the picture is soon as this says. */
async function soon(tab, says) {
  for (let look = 0; look < 20; look += 1) {
    if (says(await tab.picture())) return true;
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  return false;
}

/** Leaves whatever menu is open, back to where the player stands. */
const closesMenus = (tab, place) => until('no menu', async () => {
  // What stands: a picture that is on its way yet may be of a menu that has been left, or opened.
  if (changed(place, await stands(tab)) < SAME) return true;
  await presses(tab, 'Escape');
  return undefined;
});

/** Has the game itself save, by this key for its menu, and then the node keep it. */
async function savesBy(tab, saves, key, place) {
  await until('a saved game', async () => {
    await closesMenus(tab, place);
    await presses(tab, key);
    // Without its menu the keys below would move the player.
    if (!(await soon(tab, (picture) => changed(place, picture) > SAME))) return undefined;
    // The first place of the list, and a name that is not empty; the last is for a game that asks whether to write over what it saved.
    await presses(tab, 'Enter', 'a', 'Enter', 'y');
    await closesMenus(tab, place);
    const came = await saves.press(false);
    await tab.page.evaluate(() => { document.querySelector('.surface').focus(); });
    return came === 'Saved' ? true : undefined;
  });
}

/** Has the game load by these keys, again where they came too early for it. */
const loads = (tab, place, ...keys) => until('a loaded game', async () => {
  await presses(tab, ...keys);
  if (await soon(tab, (picture) => changed(place, picture) < SAME)) return true;
  await presses(tab, 'Escape');
  return undefined;
});

real('a game that Freedoom saved is there when it loads it, and an older save of the folder brings the older one back', async () => {
  await Tab.with({ browser, node, query: `?width=640&height=360&fps=15&transport=webrtc&${PATIENT}` }, async (tab) => {
    const saves = new SavesOnPage(tab, 'Freedoom: Phase 1');
    await saves.card.waitFor();
    await saves.play();
    await tab.state('live');
    const start = await rests(tab);
    const beginsAnew = async () => {
      await tab.state('live');
      await until('the place where it begins', async () => (changed(start, await stands(tab)) < SAME ? true : undefined));
    };
    const hall = await moves(tab, 'w');
    // Quick: the first time it asks for the place.
    await savesBy(tab, saves, 'F6', hall);
    const turned = await moves(tab, 'ArrowRight');
    await loads(tab, hall, 'F9', 'y');
    await isAt(tab, hall);
    await saves.leave();

    // Another start, in which the same place of its list is written over.
    const [first] = await Promise.all((await saves.rows(1)).map((row) => row.getAttribute('data-save')));
    await saves.play();
    await beginsAnew();
    await loads(tab, hall, 'F3', 'Enter');
    const other = await moves(tab, 'ArrowRight');
    assert.ok(changed(other, hall) > 0.2 && changed(other, start) > 0.2);
    await savesBy(tab, saves, 'F2', other);
    await saves.leave();

    // From the older one, and then from the newest again.
    await saves.rows(2);
    await saves.card.locator(`[data-save="${first}"]`).getByRole('button', { name: /^Play from the save of/ }).click();
    await beginsAnew();
    await loads(tab, hall, 'F3', 'Enter');
    assert.ok(changed(await stands(tab), hall) < SAME);
    await saves.leave();
    assert.ok(changed(turned, hall) > 0.2);
  });
  await node.sessionsToBe(0);
});
