// Gamepads from the page to a game that paints what they say. The browser here has none, so `navigator.getGamepads` is a
// double; everything behind it is real. They come by the library, also where the kernel would make devices. Left out, with the
// reason, where this machine gives no sandboxes or has no SDL; NEARLIGHT_HOST=1 makes that a failure.
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CO_PLAYER, invite } from './support/invite.mjs';
import { Node, until } from './support/node.mjs';
import { changed, launch, PATIENT, Tab } from './support/tab.mjs';

const PADS = fileURLToPath(new URL('support/pads', import.meta.url));
const FREEDOOM = fileURLToPath(new URL('../../games/freedoom', import.meta.url));
const NEVERBALL = fileURLToPath(new URL('../../games/neverball', import.meta.url));
const SMALL = `width=640&height=360&fps=15&${PATIENT}`;

let run, games, node, browser, entries;
before(async () => {
  // Users that games run as pass through both, wherever this lies.
  [run, games] = ['nl-', 'nearlight-games-'].map((name) => mkdtempSync(join(tmpdir(), name)));
  for (const folder of [run, games]) chmodSync(folder, 0o755);
  cpSync(PADS, join(games, 'pads'), { recursive: true });
  // The shipped entry, but that it begins in the first level, where nothing else moves.
  cpSync(FREEDOOM, join(games, 'walk'), { recursive: true });
  cpSync(NEVERBALL, join(games, 'neverball'), { recursive: true });
  const toml = join(games, 'walk/game.toml');
  writeFileSync(toml, readFileSync(toml, 'utf8').replace('"-nogui",', '"-nogui", "-warp", "1", "1", "-nomonsters",'));
  node = await Node.start({ 'games.max_cpus': '64.0', 'games.folders': JSON.stringify([games]), 'games.run': run, 'games.devices': 'off' });
  browser = await launch();
  ({ entries } = await (await node.fetch('api/v1/catalogue')).json());
});
after(async () => {
  await browser?.close();
  await node?.stop();
  for (const folder of [run, games]) rmSync(folder, { recursive: true, force: true });
});

/** Stands in for the browser's gamepads: `pads` is what it has, and `effects` what they were made to do. */
function double() {
  const pads = [null, null, null, null];
  const effects = [];
  const make = (index) => ({
    index,
    id: 'a double (STANDARD GAMEPAD)',
    connected: true,
    mapping: 'standard',
    timestamp: 0,
    axes: [0, 0, 0, 0],
    buttons: Array.from({ length: 17 }, () => ({ pressed: false, touched: false, value: 0 })),
    vibrationActuator: {
      playEffect: (type, effect) => { effects.push({ index, type, ...effect }); return Promise.resolve('complete'); },
      reset: () => { effects.push({ index, type: 'reset' }); return Promise.resolve('complete'); },
    },
  });
  Object.defineProperty(window.navigator, 'getGamepads', { value: () => pads });
  window.double = {
    effects,
    plug: (index) => { pads[index] = make(index); },
    unplug: (index) => { pads[index] = null; },
    press: (index, button, pressed) => { pads[index].buttons[button] = { pressed, touched: pressed, value: Number(pressed) }; },
    push: (index, axis, value) => { pads[index].axes[axis] = value; },
  };
}

/** How bright the halves of the columns are. */
async function columns(tab) {
  const picture = await tab.picture();
  const cell = (column, half) => Math.round(picture[(half === 0 ? 10 : 30) * 80 + column * 20 + 10]);
  return Array.from({ length: 4 }, (_, column) => [cell(column, 0), cell(column, 1)]);
}

/** Lets the page run for so long: a pause here may pass while it stands still. */
const pause = (tab, ms) => tab.page.evaluate((wait) => new Promise((resolve) => { setTimeout(resolve, wait); }), ms);

const REST = [60, 140];

/** Waits until the columns are this bright, but for coding noise. */
function paints(tab, wanted) {
  let last;
  return until(`columns ${JSON.stringify(wanted)}`, async () => {
    last = await columns(tab);
    return last.flat().every((value, at) => Math.abs(value - wanted.flat()[at]) < 12) ? true : undefined;
  }).catch((error) => { throw new Error(`${error.message}; they are ${JSON.stringify(last)}`, { cause: error }); });
}

const does = (tab, name, ...args) => tab.page.evaluate(([name, args]) => window.double[name](...args), [name, args]);

/** Plays this game with the double, unless it cannot be had here. */
const game = (id, transport, name, use, script = () => undefined) => test(`${name}, over ${transport}`, async (t) => {
  const entry = entries.find((each) => each.id === id);
  assert.equal(entry?.kind, 'game', node.log());
  if (entry.unavailable !== undefined) {
    assert.ok(process.env.NEARLIGHT_HOST === undefined, entry.unavailable);
    t.skip(entry.unavailable);
    return;
  }
  const prepare = async (context) => { for (const each of [double, script]) await context.addInitScript(each); };
  await Tab.with({ browser, node, query: `?play=${id}&${SMALL}&transport=${transport}`, prepare }, async (tab) => {
    await tab.state('live');
    assert.equal(await tab.page.evaluate(() => window.nearlight.hello.input.pads), 'library');
    await use(tab);
  });
  await node.sessionsToBe(0);
});

for (const transport of ['webrtc', 'websocket']) {
  game('pads', transport, 'a game sees gamepads, and they rumble', async (tab) => {
    await paints(tab, [[0, 0], [0, 0], [0, 0], [0, 0]]);
    for (const index of [0, 1, 2, 3]) await does(tab, 'plug', index);
    await paints(tab, [REST, REST, REST, REST]);
    await does(tab, 'press', 0, 0, true);
    await does(tab, 'push', 1, 0, 1);
    await does(tab, 'push', 2, 0, -1);
    await paints(tab, [[220, 140], [60, 220], [60, 60], REST]);
    await does(tab, 'unplug', 3);
    await paints(tab, [[220, 140], [60, 220], [60, 60], [0, 0]]);
    // Rumbles while it is told to; SDL ends it by itself.
    await does(tab, 'press', 1, 1, true);
    const { index, strongMagnitude, weakMagnitude } = await until('an effect and its end', async () => {
      const effects = await tab.page.evaluate(() => window.double.effects);
      const at = effects.findIndex(({ type }) => type === 'dual-rumble');
      return at !== -1 && effects.slice(at).some(({ type }) => type === 'reset') ? effects[at] : undefined;
    });
    assert.deepEqual([index, strongMagnitude], [1, 1]);
    assert.ok(Math.abs(weakMagnitude - 0.5) < 0.01);
    // What is held on a page that is left is let go of, and held again when it is back.
    await tab.page.evaluate(() => { document.hasFocus = () => false; window.dispatchEvent(new window.Event('blur')); });
    await paints(tab, [REST, REST, REST, [0, 0]]);
    await tab.page.evaluate(() => { delete document.hasFocus; });
    await paints(tab, [[220, 140], [60, 220], [60, 60], [0, 0]]);
  });
}

game('pads', 'webrtc', 'a co-player’s gamepad is the game’s next one, and rumbles alone', async (player) => {
  await does(player, 'plug', 0);
  await paints(player, [REST, [0, 0], [0, 0], [0, 0]]);
  const link = await invite(player, CO_PLAYER);
  const prepare = (context) => context.addInitScript(double);
  await Tab.with({ browser, node, query: `?${SMALL}&transport=webrtc${link.slice(link.indexOf('#'))}`, prepare }, async (other) => {
    await other.state('live');
    await other.page.evaluate(() => { document.hasFocus = () => true; });
    await does(other, 'plug', 2);
    await paints(player, [REST, REST, [0, 0], [0, 0]]);
    // The game rumbles a pad whose second button is pressed.
    await does(other, 'press', 2, 1, true);
    const effects = (tab) => tab.page.evaluate(() => window.double.effects.filter(({ type }) => type === 'dual-rumble'));
    const [effect] = await until('an effect', async () => {
      const all = await effects(other);
      return all.length > 0 ? all : undefined;
    });
    assert.deepEqual([effect.index, effect.strongMagnitude], [2, 1]);
    assert.deepEqual(await effects(player), []);
  });
  // Whoever leaves takes it along.
  await paints(player, [REST, [0, 0], [0, 0], [0, 0]]);
});

game('walk', 'webrtc', 'a stick walks through Freedoom', async (tab) => {
  await does(tab, 'plug', 0);
  /** A level that is there, and where nothing moves. */
  const stands = () => until('a picture that stands still', async () => {
    const before = await tab.picture();
    const bright = before.filter((value) => value > 30).length / before.length;
    for (let look = 0; look < 5; look += 1) {
      await new Promise((resolve) => { setTimeout(resolve, 100); });
      if (bright < 0.3 || changed(before, await tab.picture()) > 0.02) return undefined;
    }
    return before;
  });
  const before = await stands();
  // On a busy machine the first steps sway more than they lead anywhere.
  await until('somebody at rest elsewhere', async () => {
    await does(tab, 'push', 0, 1, -1);
    await tab.pictureChanges(before, 0.3);
    await pause(tab, 300);
    await does(tab, 'push', 0, 1, 0);
    return changed(before, await stands()) > 0.2 ? true : undefined;
  });
});

game('neverball', 'webrtc', 'a stick and a button choose in Neverball’s menus', async (tab) => {
  const sets = await setsOfLevels(tab);
  // The way back has the focus; up from it is the last line, which is described beside it.
  await nudge(tab, -1);
  await tab.pictureChanges(sets, 0.04);
});

game('neverball', 'webrtc', 'a level of Neverball is begun by gamepad, and a stick tilts its floor', async (tab) => {
  const { page } = tab;
  // The way back is on top and has the focus in both lists; what comes first is below it.
  const chooseFirst = async (list) => {
    await nudge(tab, 1);
    await tap(tab, A);
    await tab.pictureChanges(list, 0.05);
    return rests(tab);
  };
  await chooseFirst(await chooseFirst(await setsOfLevels(tab)));
  const floor = async (pushed) => {
    await does(tab, 'push', 0, 0, pushed);
    await pause(tab, 500);
    return rests(tab);
  };
  let last;
  await until('a floor that tilts as it is told', async () => {
    // Begins the level, or anew where it is played. By the third camera, which does not turn with the ball.
    await page.keyboard.press('r', { delay: 100 });
    await tap(tab, A);
    await page.keyboard.press('3', { delay: 100 });
    await rests(tab);
    // The ball rolls to the rail at its left and stays there: from then on nothing but the floor moves. In a list what was chosen
    // would stay so when the stick is let go of.
    const [tilted, level, again, after] = [await floor(-1), await floor(0), await floor(-1), await floor(0)];
    last = [changed(tilted, level), changed(again, after), changed(tilted, again), changed(level, after)];
    const [there, back, ...same] = last;
    return Math.min(there, back) > 0.1 && Math.max(...same) < 0.04 ? true : undefined;
  }).catch((error) => { throw new Error(`${error.message}; shares of the picture that changed: ${JSON.stringify(last)}`, { cause: error }); });
});

/** Share of the picture that is another a moment later. */
async function moves(tab) {
  const before = await tab.picture();
  await pause(tab, 400);
  return changed(before, await tab.picture());
}

/** A picture in which next to nothing moves, for longer than a machine without time shows nothing new. */
const rests = (tab) => until('a picture at rest', async () => {
  for (let look = 0; look < 6; look += 1) if ((await moves(tab)) >= 0.02) return undefined;
  return tab.picture();
});

/** Plugs a gamepad in, and leaves Neverball's title for what levels are chosen from. */
async function setsOfLevels(tab) {
  await does(tab, 'plug', 0);
  // Its title flies over a level all the time.
  await until('the title', async () => ((await moves(tab)) > 0.05 ? true : undefined));
  await tap(tab, A);
  return rests(tab);
}

/** Pushes the left stick down (1) or up (-1), and lets go of it. */
async function nudge(tab, way) {
  // Within the page: held for longer it would move on and on.
  await tab.page.evaluate(async (to) => {
    window.double.push(0, 1, to);
    await new Promise((resolve) => { setTimeout(resolve, 120); });
    window.double.push(0, 1, 0);
  }, way);
}

/** Presses a button of the first gamepad for as long as the page needs to see it: longer, and what it does is repeated. */
const tap = (tab, button) => tab.page.evaluate(async (which) => {
  for (const pressed of [true, false]) {
    window.double.press(0, which, pressed);
    await new Promise((resolve) => { setTimeout(resolve, 120); });
  }
}, button);

const [A, B, UP, DOWN, LEFT, RIGHT, HOME] = [0, 1, 12, 13, 14, 15, 16];

/** Moves the focus by gamepad until what has it is called, or says, this. */
const go = (tab, button, text) => until(`the focus on ${text}`, async () => {
  const now = await tab.page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent);
  if (now.startsWith(text)) return true;
  await tap(tab, button);
  return undefined;
});

game('pads', 'webrtc', 'what the menu opens is worked by gamepad alone, and nothing of it reaches the game', async (tab) => {
  const { page } = tab;
  await does(tab, 'plug', 0);
  await paints(tab, [REST, [0, 0], [0, 0], [0, 0]]);
  // Who has one is told its way there.
  await page.getByText('Select and Start held down, opens the menu').waitFor({ state: 'attached' });
  const menu = async (row) => {
    await tap(tab, HOME);
    await page.getByRole('menu', { name: 'Session' }).waitFor();
    await go(tab, DOWN, row);
  };
  const volume = () => page.evaluate(() => Number(document.querySelector('.volume').value));
  await menu('Volume');
  await tap(tab, LEFT);
  await until('less', async () => ((await volume()) === 75 ? true : undefined));
  await tap(tab, B);
  // A choice has something on both its sides.
  await menu('Picture');
  await tap(tab, RIGHT);
  await go(tab, UP, 'PicturePixel by pixel');
  await tap(tab, LEFT);
  await go(tab, UP, 'PictureAs large as the window');
  await go(tab, DOWN, 'Invite');
  await tap(tab, A);
  const box = page.getByRole('complementary', { name: 'Invite' });
  await box.waitFor();
  await until('the role', () => page.evaluate(() => (document.activeElement.id === 'invite-role' ? true : undefined)));
  await tap(tab, RIGHT);
  await go(tab, DOWN, 'Make a link');
  await tap(tab, A);
  await box.getByRole('listitem').getByText('Co-player').waitFor();
  // The game draws all that it is told, and was told nothing.
  await paints(tab, [REST, [0, 0], [0, 0], [0, 0]]);
  await go(tab, DOWN, 'Revoke');
  await tap(tab, A);
  await until('no invitation', async () => ((await box.getByRole('listitem').count()) === 0 ? true : undefined));
  await tap(tab, B);
  await box.waitFor({ state: 'hidden' });
  await does(tab, 'press', 0, A, true);
  await paints(tab, [[220, 140], [0, 0], [0, 0], [0, 0]]);
  await does(tab, 'press', 0, A, false);
  await paints(tab, [REST, [0, 0], [0, 0], [0, 0]]);
  await menu('Keys');
  await tap(tab, A);
  await page.getByRole('complementary', { name: 'Keys' }).waitFor();
  // Home is the way out of everything.
  await tap(tab, HOME);
  await page.getByRole('complementary', { name: 'Keys' }).waitFor({ state: 'hidden' });
});

game('pads', 'webrtc', 'a gamepad is taught its buttons with nothing else, home among them', async (tab) => {
  const { page } = tab;
  await does(tab, 'plug', 0);
  await paints(tab, [REST, [0, 0], [0, 0], [0, 0]]);
  await tap(tab, HOME);
  await page.getByRole('menu', { name: 'Session' }).waitFor();
  await go(tab, DOWN, 'Controllers');
  await tap(tab, A);
  const box = page.getByRole('complementary', { name: 'Controllers' });
  await box.waitFor();
  await go(tab, DOWN, 'Teach the buttons');
  await tap(tab, A);
  await box.getByText(/^Press the lower button/).waitFor();
  // Each answer is held for as long as what works the page needs to see it, and let go of before the next.
  await page.evaluate(async () => {
    const [buttons, question] = [17, document.querySelector('.controllers .question')];
    const rest = (ms) => new Promise((resolve) => { setTimeout(() => { window.requestAnimationFrame(() => { window.requestAnimationFrame(resolve); }); }, ms); });
    const say = (number, down) => {
      if (number < buttons) window.double.press(0, number, down);
      else window.double.push(0, number - buttons, Number(down));
    };
    await rest(0);
    for (let number = 0; question.textContent !== ''; number = (number + 1) % (buttons + 4)) {
      const asked = question.textContent;
      say(number, true);
      while (question.textContent === asked) await rest(0);
      await rest(120);
      say(number, false);
      await rest(0);
    }
  });
  await box.getByRole('button', { name: 'Forget the buttons of controller 1' }).waitFor();
  await paints(tab, [REST, [0, 0], [0, 0], [0, 0]]);
});

/** As a browser that lets nothing be heard, however often it is asked. */
function silent() {
  window.asked = 0;
  Object.defineProperty(window.AudioContext.prototype, 'state', { get: () => 'suspended' });
  window.AudioContext.prototype.resume = () => {
    window.asked += 1;
    return Promise.resolve();
  };
}

game('pads', 'webrtc', 'a browser that plays nothing unasked is asked again with each press of a gamepad', async (tab) => {
  const asked = () => tab.page.evaluate(() => window.asked);
  await until('the first time', async () => ((await asked()) > 0 ? true : undefined));
  await does(tab, 'plug', 0);
  const before = await asked();
  await tap(tab, A);
  assert.ok((await asked()) > before);
}, silent);

test('the library is searched by gamepad alone', () => {
  const prepare = (context) => context.addInitScript(double);
  return Tab.with({ browser, node, prepare }, async (tab) => {
    const { page } = tab;
    const field = page.getByRole('searchbox', { name: 'Search the library' });
    await field.waitFor();
    await does(tab, 'plug', 0);
    await go(tab, DOWN, 'Search the library');
    await tap(tab, A);
    await go(tab, DOWN, 'q');
    await tap(tab, A);
    // There is none with this letter.
    await page.getByText('Nothing here is called “q”').waitFor();
    await go(tab, DOWN, 'Shift');
    await go(tab, RIGHT, 'Delete');
    await tap(tab, A);
    await page.getByRole('button', { name: 'Play Gamepads' }).waitFor();
    await tap(tab, B);
    await go(tab, UP, 'Search the library');
    await page.getByRole('group', { name: 'Keys to write with' }).waitFor({ state: 'detached' });
    // What was saved is kept folded until somebody wants it.
    await go(tab, DOWN, 'Saved games');
    await tap(tab, A);
    await page.locator('details.saves[open]').waitFor();
  });
});

test('what a gamepad does while its session is interrupted leaves nothing, and home takes it to what can be done', async () => {
  const prepare = (context) => context.addInitScript(double);
  await Tab.with({ browser, node, query: '?play=demo&width=640&height=360&fps=15&transport=webrtc', prepare }, async (tab) => {
    await tab.state('live');
    await does(tab, 'plug', 0);
    node.freeze();
    try {
      await tab.state('reconnecting');
      for (const button of [DOWN, A, B]) await tap(tab, button);
      assert.equal(await tab.page.evaluate(() => window.nearlight.state.name), 'reconnecting');
      await tap(tab, HOME);
      await go(tab, DOWN, 'Leave');
    } finally {
      node.thaw();
    }
    await tab.state('live');
    await until('the gamepad to be the session’s', async () => {
      await tap(tab, A);
      return (await tab.inputs()).includes('gamepad') ? true : undefined;
    });
  });
  await node.sessionsToBe(0);
});

test('a gamepad that plays on as its session ends chooses nothing, and once it rested plays again', async () => {
  const prepare = (context) => context.addInitScript(double);
  await Tab.with({ browser, node, query: '?play=demo&width=640&height=360&fps=15&transport=webrtc', prepare }, async (tab) => {
    await tab.state('live');
    await does(tab, 'plug', 0);
    const [first] = await node.sessionsToBe(1);
    // In the page: where it stands still, this does, too.
    await tab.page.evaluate(([down, press, back]) => {
      let turn = 0;
      window.mashing = window.setInterval(() => {
        const button = [down, press, back][Math.floor(turn / 2) % 3];
        window.double.press(0, button, turn % 2 === 0);
        turn += 1;
      }, 60);
    }, [DOWN, A, B]);
    await node.end(first);
    await tab.state('ended');
    await pause(tab, 1_500);
    assert.equal(await tab.page.evaluate(() => window.nearlight.state.name), 'ended');
    await tab.page.evaluate(([...buttons]) => {
      window.clearInterval(window.mashing);
      for (const button of buttons) window.double.press(0, button, false);
    }, [DOWN, A, B]);
    await until('the focus on what begins anew', async () => {
      await pause(tab, 1_000);
      await tap(tab, DOWN);
      return tab.page.evaluate(() => (document.activeElement.textContent === 'Play again' ? true : undefined));
    });
    await tap(tab, A);
    await tab.state('live');
  });
  await node.sessionsToBe(0);
});

test('a game is chosen, its menu is opened, and it is left by gamepad alone', async (t) => {
  const entry = entries.find(({ id }) => id === 'pads');
  if (entry.unavailable !== undefined) {
    assert.ok(process.env.NEARLIGHT_HOST === undefined, entry.unavailable);
    t.skip(entry.unavailable);
    return;
  }
  const prepare = (context) => context.addInitScript(double);
  await Tab.with({ browser, node, query: `?${SMALL}&transport=webrtc`, prepare }, async (tab) => {
    const { page } = tab;
    await page.getByText(entry.title).first().waitFor();
    await does(tab, 'plug', 0);
    const named = () => page.evaluate(() => document.activeElement.getAttribute('aria-label'));
    await until('the focus on the game', async () => {
      if ((await named()) === `Play ${entry.title}`) return true;
      await tap(tab, DOWN);
      return undefined;
    });
    await tap(tab, A);
    await tab.state('live');
    await paints(tab, [REST, [0, 0], [0, 0], [0, 0]]);
    const focused = () => page.evaluate(() => document.activeElement.className);
    await tap(tab, HOME);
    await until('the menu', async () => ((await focused()) === 'row' ? true : undefined));
    // What goes back to the game is not pressed in it.
    await does(tab, 'press', 0, B, true);
    await until('the game', async () => ((await focused()) === 'surface' ? true : undefined));
    await does(tab, 'press', 0, A, true);
    await does(tab, 'press', 0, B, false);
    await pause(tab, 500);
    await paints(tab, [REST, [0, 0], [0, 0], [0, 0]]);
    await does(tab, 'press', 0, A, false);
    await pause(tab, 100);
    await does(tab, 'press', 0, A, true);
    await paints(tab, [[220, 140], [0, 0], [0, 0], [0, 0]]);
    await does(tab, 'press', 0, A, false);
    await paints(tab, [REST, [0, 0], [0, 0], [0, 0]]);
    // While they are tested, gamepads are not the game's.
    await tap(tab, HOME);
    await until('the menu', async () => ((await focused()) === 'row' ? true : undefined));
    await go(tab, DOWN, 'Controllers');
    await tap(tab, A);
    const box = page.getByRole('complementary', { name: 'Controllers' });
    await box.getByText('a double').waitFor();
    await does(tab, 'push', 0, 0, 1);
    await until('the stick', async () => ((await box.locator('meter').first().evaluate(({ value }) => value)) === 1 ? true : undefined));
    await paints(tab, [REST, [0, 0], [0, 0], [0, 0]]);
    await does(tab, 'push', 0, 0, 0);
    await go(tab, DOWN, 'Rumble controller 1');
    await tap(tab, A);
    await until('an effect', () => page.evaluate(() => (window.double.effects.some(({ type, duration }) => type === 'dual-rumble' && duration > 400) ? true : undefined)));
    await tap(tab, B);
    await box.waitFor({ state: 'hidden' });
    await tap(tab, HOME);
    await until('the menu', async () => ((await focused()) === 'row' ? true : undefined));
    await until('the last of it', async () => {
      await tap(tab, UP);
      return (await page.evaluate(() => document.activeElement.textContent)).includes('Leave') ? true : undefined;
    });
    await tap(tab, A);
    await page.getByText(entry.summary).waitFor();
  });
  await node.sessionsToBe(0);
});

test('the gamepad on the screen is arranged, and is as it was left after a reload', async (t) => {
  const entry = entries.find(({ id }) => id === 'pads');
  if (entry.unavailable !== undefined) {
    assert.ok(process.env.NEARLIGHT_HOST === undefined, entry.unavailable);
    t.skip(entry.unavailable);
    return;
  }
  const options = { viewport: { width: 844, height: 390 }, hasTouch: true, isMobile: true };
  await Tab.with({ browser, node, query: `?play=pads&${SMALL}&transport=webrtc`, options }, async (tab) => {
    const { page } = tab;
    const show = async () => {
      await tab.state('live');
      // It is offered once the game is known to take gamepads.
      await tab.until(() => window.nearlight.hello?.input?.pads !== undefined);
      await tab.press(page.getByRole('button', { name: 'Touch: direct' }), 'tap');
    };
    const a = page.locator('.touch-pad').getByRole('button', { name: 'A', exact: true });
    const middle = () => a.evaluate((element) => {
      const { left, top, width, height } = element.getBoundingClientRect();
      return [left + width / 2, top + height / 2].map(Math.round);
    });
    const cdp = await tab.context.newCDPSession(page);
    const finger = (type, ...points) => cdp.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([x, y]) => ({ id: 1, x, y })) });
    await show();
    await paints(tab, [REST, [0, 0], [0, 0], [0, 0]]);
    const before = await middle();
    await page.getByRole('button', { name: 'Arrange' }).tap();
    // A tap is dispatched, and its click comes when the page has time.
    await page.getByRole('button', { name: 'Done' }).waitFor();
    await finger('touchStart', before);
    await finger('touchMove', [500, 150]);
    await finger('touchMove', [422, 117]);
    await finger('touchEnd');
    // Once, a busy browser made no click of the tap that followed the finger's.
    const [arrange, done] = ['Arrange', 'Done'].map((name) => page.getByRole('button', { name }));
    await until('what is arranged', async () => {
      await done.tap({ timeout: 10_000 }).catch(() => undefined);
      return arrange.waitFor({ timeout: 10_000 }).then(() => true, () => undefined);
    });
    // Hundredths of the player's size.
    const moved = await middle();
    assert.ok(Math.abs(moved[0] - 422) <= 5 && Math.abs(moved[1] - 117) <= 3, `${before} -> ${moved}`);
    await page.reload();
    await show();
    assert.deepEqual(await middle(), moved);
    await finger('touchStart', moved);
    await paints(tab, [[220, 140], [0, 0], [0, 0], [0, 0]]);
    await finger('touchEnd');
    await paints(tab, [REST, [0, 0], [0, 0], [0, 0]]);
    // As with Done.
    const reset = page.getByRole('button', { name: 'Reset' });
    await until('every part where it began', async () => {
      await reset.tap({ timeout: 10_000 }).catch(() => undefined);
      return (await middle()).every((at, index) => at === before[index]) ? true : undefined;
    });
  });
  await node.sessionsToBe(0);
});
