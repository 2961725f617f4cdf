// Sessions as their players see them: apart from one another, resumed, refused, ended, and gone without a
// trace.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { DEADLINE_MS, Node, until } from './support/node.mjs';
import { writeBlocks } from './support/scene.mjs';
import { changed, GENTLE, launch, PATIENT, reached, Tab } from './support/tab.mjs';

let blocks, node, browser;
before(async () => {
  blocks = writeBlocks();
  // A page that a busy machine loads again comes back in this time; one test waits for its end.
  node = await Node.start({ 'catalogue.scenes': JSON.stringify([blocks.folder]), 'sessions.away': '60s' });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
  blocks?.remove();
});

const demo = (use) => Tab.with({ browser, node, query: `?play=demo&${GENTLE}&${PATIENT}` }, use);
const still = (use, patience = PATIENT) => Tab.with({ browser, node, query: `?play=${blocks.id}&${GENTLE}&${patience}` }, use);

/** The panel over the picture, as text. */
const panel = (tab) => tab.page.locator('.panel').innerText();

/** What the node's threads are called. */
const threadNames = () => readdirSync(`/proc/${node.pid}/task`).flatMap((thread) => {
  try {
    return [readFileSync(`/proc/${node.pid}/task/${thread}/comm`, 'utf8').trim()];
  } catch {
    // It ended meanwhile.
    return [];
  }
});

/** Waits until everything that sessions took is given back. */
async function back(footprint, subject = node) {
  let now;
  const look = () => {
    now = subject.footprint();
    return now.threads <= footprint.threads && now.descriptors <= footprint.descriptors ? now : undefined;
  };
  await until('threads and descriptors to be given back', look).catch((error) => {
    throw new Error(`${error.message}: before ${JSON.stringify(footprint)}, now ${JSON.stringify(now)}`, { cause: error });
  });
}

test('two tabs are two sessions that know nothing of each other', () =>
  still((one) =>
    still(async (two) => {
      await one.playing();
      await two.playing();
      const listed = await node.sessionsToBe(2);
      assert.equal(new Set(listed.map(({ id }) => id)).size, 2);
      await two.rests();
      const [before, other] = [await one.picture(), await two.picture()];
      const { input } = await two.strip();
      await one.page.bringToFront();
      await one.page.keyboard.down('d');
      await one.shown();
      await one.pictureChanges(before, 0.05, 'd');
      await one.page.keyboard.up('d');
      await one.shown();
      await two.unchanged(10);
      assert.equal((await two.strip()).input, input);
      assert.equal(changed(other, await two.picture()), 0);
    })));

test('closing the tab ends the session and gives everything back', async () => {
  // The first one makes pools that stay.
  await demo((tab) => tab.playing());
  await node.sessionsToBe(0);
  const before = node.footprint();
  await demo(async (tab) => {
    await tab.playing();
    await tab.frames(3);
    const [session] = await node.sessionsToBe(1);
    const names = threadNames();
    for (const of of ['src', 'enc']) assert.ok(names.includes(`${of}-${session.id.slice(0, 8)}`), `no thread of the session's ${of}: ${names}`);
    await tab.page.close();
    // Not for want of a client. The page might have been loading again, so it takes some seconds.
    assert.equal(await node.reasonOf(session), 'client_left');
  });
  await back(before);
});

test('a browser that dies is waited for, then its session ends', async () => {
  // A node of its own that does not wait for long: in other tests a busy machine may need longer to come back.
  const short = await Node.start({ 'sessions.reconnect': '4s' });
  try {
    // The first one makes pools that stay.
    await Tab.with({ browser, node: short, query: `?play=demo&${GENTLE}` }, (tab) => tab.playing());
    await short.sessionsToBe(0);
    const before = short.footprint();
    const { chromium } = await import('playwright-core');
    const doomed = await chromium.launchServer({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      timeout: DEADLINE_MS,
      args: ['--headless=new', '--no-sandbox', '--disable-gpu'],
    });
    const context = await (await chromium.connect(doomed.wsEndpoint())).newContext();
    const tab = new Tab(context, await context.newPage());
    await tab.page.goto(`${short.url}?play=demo&${GENTLE}`);
    await tab.playing();
    const [gone] = await short.sessionsToBe(1);
    await doomed.kill();
    await until('suspension or end', async () => {
      const [session] = await short.sessions();
      return session === undefined || session.state === 'suspended' ? true : undefined;
    });
    assert.equal(await short.reasonOf(gone), 'connection_lost');
    await back(before, short);
  } finally {
    assert.equal(await short.stop(), 0);
  }
});

test('loading the page again takes its session up where it was', () =>
  still(async (tab) => {
    await tab.playing();
    const small = await tab.picture();
    await tab.page.mouse.click(...(await tab.at(0.5, 0.5)));
    await tab.shown();
    await tab.pictureChanges(small, 0.05);
    const [first] = await node.sessionsToBe(1);
    const { frame } = await tab.strip();
    await tab.page.reload({ timeout: DEADLINE_MS });
    await tab.playing();
    const [second] = await node.sessionsToBe(1);
    assert.equal(second.id, first.id);
    assert.ok(reached((await tab.strip()).frame, frame + 1), 'the same source draws on');
    assert.ok(changed(small, await tab.picture()) > 0.05, 'the scene was not begun anew');
    assert.equal(await tab.page.evaluate(() => window.sessionStorage.length), 0, 'nothing is left for a copy of the tab');
    await tab.page.keyboard.press('Control+Alt+Shift+KeyQ');
    assert.equal(await node.reasonOf(first), 'stopped_by_client');
  }));

test('a node that falls silent is played on with once it is back, and the view is kept', () =>
  still(async (tab) => {
    await tab.playing();
    await tab.page.mouse.click(...(await tab.at(0.02, 0.9)));
    await tab.until(() => document.pointerLockElement !== null);
    const [session] = await node.sessionsToBe(1);
    const start = await tab.picture();
    await tab.page.keyboard.down('d');
    await tab.shown();
    await tab.pictureChanges(start, 0.05, 'd');
    await tab.page.keyboard.up('d');
    await tab.shown();
    await tab.rests();
    const moved = await tab.picture();
    // The node falls silent, as it does for a client whose network is gone; its sockets stay open.
    node.freeze();
    try {
      await tab.state('reconnecting');
      assert.match(await panel(tab), /Reconnecting/);
      await tab.until(() => document.pointerLockElement === null);
    } finally {
      node.thaw();
    }
    await tab.state('live');
    const [same] = await node.sessionsToBe(1);
    assert.equal(same.id, session.id);
    assert.ok(changed(moved, await tab.picture()) < 0.02, 'the camera stands where it stood');
    await tab.page.keyboard.down('a');
    const pressed = await tab.shown();
    await tab.pictureChanges(moved, 0.03, 'a');
    await tab.page.keyboard.up('a');
    assert.ok(reached((await tab.strip()).input, pressed));
  }, ''));

test('a hidden page is sent nothing, and plays on when it is seen again', () =>
  demo(async (tab) => {
    await tab.playing();
    await tab.see('hidden');
    const sent = await until('silence', async () => {
      const before = await node.metric('nearlight_frames_sent_total');
      // Long enough for twenty frames.
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      return (await node.metric('nearlight_frames_sent_total')) === before ? before : undefined;
    });
    const [session] = await node.sessionsToBe(1);
    await tab.see('visible');
    await until('frames', async () => ((await node.metric('nearlight_frames_sent_total')) > sent + 3 ? true : undefined));
    await tab.frames(3);
    const [same] = await until('it to be live', async () => {
      const all = await node.sessions();
      return all.every(({ state }) => state === 'live') ? all : undefined;
    });
    assert.equal(same.id, session.id);
  }));

test('a page that is opened in the background plays once it is seen', () => {
  const prepare = (context) => context.addInitScript(() => {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'hidden' });
  });
  return Tab.with({ browser, node, query: `?play=${blocks.id}&${GENTLE}`, prepare }, async (tab) => {
    await until('a connection', async () => (await node.sessions()).find(({ state }) => state === 'live'));
    await tab.see('visible');
    await tab.playing();
  });
});

test('a browser that cannot draw says so, and ends the session at once', () => {
  const prepare = (context) => context.route('**/assets/present-*.js', async (route) => {
    const script = await route.fetch({ timeout: DEADLINE_MS });
    await route.fulfill({ response: script, body: `OffscreenCanvas.prototype.getContext = () => null;${await script.text()}` });
  });
  return Tab.with({ browser, node, query: '', prepare }, async (tab) => {
    // Its whole life may be shorter than the time between two looks at the node.
    const made = tab.page.waitForResponse((answer) => answer.request().method() === 'POST' && answer.url().endsWith('/sessions'));
    await tab.page.getByRole('button', { name: /^Play Nearlight/ }).click();
    await tab.state('ended');
    assert.match(await panel(tab), /This browser stopped showing the picture\s+This canvas has no 2D context\./);
    assert.equal(await node.reasonOf(await (await made).json()), 'stopped_by_client');
  });
});

test('the node warns before it ends a session that nobody touches', async () => {
  // It warns a minute before.
  const patient = await Node.start({ 'sessions.idle': '62s' });
  try {
    await Tab.with({ browser, node: patient, query: `?play=demo&${GENTLE}` }, async (tab) => {
      await tab.playing();
      const warning = tab.page.getByRole('alert').filter({ hasText: /Nobody touched the session/ });
      await warning.waitFor();
      assert.match(await warning.innerText(), / \d+ s$|1 min 0 s$/);
      await tab.page.keyboard.press('Control+Alt+Shift+KeyQ');
    });
  } finally {
    assert.equal(await patient.stop(), 0);
  }
});

test('leaving ends the session, by button, shortcut and Back', () =>
  Tab.with({ browser, node, query: `?${GENTLE}&${PATIENT}` }, async (tab) => {
    const { page } = tab;
    await page.getByRole('button', { name: /^Play Nearlight/ }).waitFor();
    let asked = 0;
    page.on('request', (request) => { if (request.url().endsWith('/catalogue')) asked += 1; });
    const ways = [
      () => tab.press(page.getByRole('button', { name: 'Leave' })),
      () => page.keyboard.press('Control+Alt+Shift+KeyQ'),
      () => page.goBack(),
    ];
    for (const leave of ways) {
      await page.getByRole('button', { name: /^Play Nearlight/ }).click();
      await tab.playing();
      const [session] = await node.sessionsToBe(1);
      await page.mouse.move(480, 300);
      const ended = page.waitForRequest((request) => request.method() === 'DELETE');
      await leave();
      await page.getByRole('heading', { name: 'Play', exact: true }).waitFor();
      assert.equal((await ended).url(), session.url);
      assert.match((await ended).headers().authorization, /^Bearer \w{64}$/);
      assert.equal(await node.reasonOf(session), 'stopped_by_client');
      assert.doesNotMatch(page.url(), /play=/);
    }
    assert.equal(asked, ways.length, 'the catalogue is asked for anew each time');
  }));

test('Back after leaving leads to the page before, not to a new session', () =>
  Tab.with({ browser, node, query: 'api/v1/node' }, async (tab) => {
    const { page } = tab;
    const leave = async () => {
      await tab.playing();
      await page.keyboard.press('Control+Alt+Shift+KeyQ');
      await page.getByRole('heading', { name: 'Play', exact: true }).waitFor();
    };
    const started = () => node.metric('nearlight_sessions_started_total');
    const before = await started();
    // Chosen from the catalogue, and opened by its own address.
    await page.goto(`${node.url}?${GENTLE}&${PATIENT}`);
    await page.getByRole('button', { name: /^Play Nearlight/ }).click();
    await leave();
    await page.goBack();
    assert.match(page.url(), /api\/v1\/node$/);
    await page.goto(`${node.url}?play=demo&${GENTLE}`);
    await leave();
    await page.goBack();
    assert.match(page.url(), /api\/v1\/node$/);
    await node.sessionsToBe(0);
    assert.equal(await started(), before + 2);
  }));

test('what the operator ends is shown as ended, with the reason, and can be played again', () =>
  demo(async (tab) => {
    await tab.playing();
    const [session] = await node.sessionsToBe(1);
    await node.end(session);
    await tab.state('ended');
    assert.match(await panel(tab), /The session has ended\s+The .+ ended the session\./);
    const answer = await node.fetch(`api/v1/sessions/${session.id}`);
    assert.equal(answer.status, 410);
    assert.equal((await answer.json()).type, '/problems/ended-session');
    await tab.page.getByRole('button', { name: 'Play again' }).click();
    await tab.playing();
    const [again] = await node.sessionsToBe(1);
    assert.notEqual(again.id, session.id);
  }));

test('a full node says so, and the page plays once there is room', async () => {
  const small = await Node.start({ 'sessions.max': '1' });
  try {
    await Tab.with({ browser, node: small, query: `?play=demo&${GENTLE}` }, async (one) => {
      await one.playing();
      await Tab.with({ browser, node: small, query: `?play=demo&${GENTLE}` }, async (two) => {
        await two.state('refused');
        const { detail } = await two.page.evaluate(() => window.nearlight.state);
        assert.match(await panel(two), /No room right now/);
        assert.ok(detail.length > 10 && (await panel(two)).toLowerCase().includes(detail.toLowerCase().replace(/\.$/, '')), detail);
        assert.equal((await small.sessions()).length, 1);
        await one.page.keyboard.press('Control+Alt+Shift+KeyQ');
        await small.sessionsToBe(0);
        await two.page.getByRole('button', { name: 'Try again' }).click();
        await two.playing();
      });
    });
  } finally {
    assert.equal(await small.stop(), 0);
  }
});

test('an entry that is not there is refused as such', () =>
  Tab.with({ browser, node, query: '?play=nonesuch' }, async (tab) => {
    await tab.state('refused');
    assert.equal(await tab.page.evaluate(() => window.nearlight.state.reason), 'unknown-app');
    assert.match(await panel(tab), /This is not on offer any more/);
    await tab.page.getByRole('button', { name: 'Back to the catalogue' }).click();
    await tab.page.getByRole('button', { name: /^Play Nearlight/ }).waitFor();
  }));

test('a node that asks for a token gets it from the page', async () => {
  const closed = await Node.start({ 'access.open': 'false' });
  try {
    await Tab.with({ browser, node: closed, query: `?play=demo&${GENTLE}` }, async (tab) => {
      await tab.state('refused');
      await tab.page.getByLabel('Access token').fill('not this one');
      await tab.page.getByRole('button', { name: 'Continue' }).click();
      await tab.until(() => document.querySelector('#token')?.value === '' && window.nearlight.state.name === 'refused');
      await tab.page.getByLabel('Access token').fill('e2e-operator');
      await tab.page.getByRole('button', { name: 'Continue' }).click();
      await tab.playing();
    });
    await Tab.with({ browser, node: closed, query: `?play=demo&${GENTLE}#token=e2e-operator` }, async (tab) => {
      await tab.playing();
      assert.doesNotMatch(tab.page.url(), /token/);
    });
  } finally {
    assert.equal(await closed.stop(), 0);
  }
});

test('a node that is told to stop tells its players', async () => {
  const short = await Node.start();
  let status;
  await Tab.with({ browser, node: short, query: `?play=demo&${GENTLE}` }, async (tab) => {
    await tab.playing();
    status = short.stop();
    await tab.state('ended');
    assert.match(await panel(tab), /The node is shutting down\./);
  }).finally(() => short.stop());
  assert.equal(await status, 0);
});
