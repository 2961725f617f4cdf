// Sound in a real browser, over every transport: it is heard, with the picture, can be muted, is next to nothing while there is
// silence, and losses are made up for. More than two channels come of a hosted game; since no headless browser has a device for
// them, the page pretends to have one (`channels` in its address) and they are looked at before the browser mixes them. That part
// is left out, with the reason, where this machine gives no sandboxes or has no SDL; NEARLIGHT_HOST=1 makes that a failure.
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { invite, SPECTATOR } from './support/invite.mjs';
import { DEADLINE_MS, Node, until } from './support/node.mjs';
import { Relay } from './support/relay.mjs';
import { writeBlocks } from './support/scene.mjs';
import { energy, gesture, heard, inStep, sound } from './support/sound.mjs';
import { alone, gentle, launch, PATIENT, Tab } from './support/tab.mjs';

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

const play = (use, { what = 'sync-test', transport, how = '', ...more }) => Tab.with({ browser, node, query: `?play=${what}&${gentle(transport)}&${PATIENT}${how}`, ...more }, use);
/** Plays WebRTC's track as the browser does by itself. */
const BY_BROWSER = '&sound=track';

/** Sends what the browser asks of the node's QUIC port to another one. */
const through = (port) => async (context) => {
  const moved = (address) => {
    const url = new URL(address.url);
    url.port = String(port);
    return { ...address, url: url.href };
  };
  await context.route(/\/api\/v1\/sessions(\/[^/]+\/webtransport)?$/, async (route) => {
    const answer = await route.fetch({ timeout: DEADLINE_MS });
    const body = await answer.json();
    await route.fulfill({ response: answer, json: body.webtransport == null ? body : { ...body, webtransport: moved(body.webtransport) } });
  });
};

for (const [transport, how] of [['webrtc', ''], ['webrtc', BY_BROWSER], ['webtransport', ''], ['websocket', '']]) describe(`over ${transport}${how}`, () => {
  test('it is heard after the first click, and the page says how it is', () => play(async (tab) => {
    await tab.playing();
    await tab.page.getByRole('button', { name: /^(Click to hear|Mute)$/ }).waitFor({ state: 'attached' });
    await gesture(tab);
    await tab.page.getByRole('button', { name: 'Mute', exact: true }).waitFor({ state: 'attached' });
    await heard(tab);
    await tab.openHud();
    await until('how far sound and picture are apart', async () => (/ buffer \d+ ms, .* ms (before|after) the picture$/.test(await tab.fact('Sound')) ? true : undefined));
    const words = await tab.fact('Sound');
    assert.match(words, /^Opus, (silent now|\d+ kbit\/s), \d+ of \d+ packets lost.*, buffer \d+ ms, /);
    const { played, skewMs } = await sound(tab);
    assert.equal(played === undefined, how === BY_BROWSER, 'the page plays it, or the browser');
    console.log(`${transport}${how}: ${words}; ${skewMs}, ${await inStep(tab)} in the median`);
  }, { transport, how }));

  test('it is silent between the beeps, and hardly anything is sent then', () => play(async (tab) => {
    await tab.playing();
    for (const silent of [true, false, true]) await tab.until((wanted) => window.nearlight.stats?.audio?.silent === wanted, silent);
    // Beeps take a tenth of the time, and the encoder a moment until it is sure of the silence.
    await tab.until(() => {
      const audio = window.nearlight.stats?.audio;
      return audio != null && audio.kbps > 0 && audio.kbps < audio.target_kbps / 2;
    });
  }, { transport, how }));

  test('it can be muted, and the page remembers that', () => play(async (tab) => {
    await tab.playing();
    await tab.page.getByRole('slider', { name: 'Volume' }).waitFor({ state: 'attached' });
    await gesture(tab);
    await tab.page.keyboard.press('Control+Alt+Shift+KeyA');
    assert.deepEqual((await sound(tab)).state, { level: 1, muted: true, blocked: false });
    await tab.page.getByRole('button', { name: 'Unmute' }).waitFor({ state: 'attached' });
    await tab.page.reload();
    await tab.playing();
    assert.equal((await sound(tab)).state.muted, true);
    // Somebody who moves the slider wants to hear something.
    await tab.page.getByRole('slider', { name: 'Volume' }).fill('40');
    const { level, muted } = (await sound(tab)).state;
    assert.deepEqual([level, muted], [0.4, false]);
  }, { transport, how }));

  test('what is touched in a scene rings', () => play(async (tab) => {
    await tab.playing();
    await tab.until(() => window.nearlight.stats?.audio?.silent === true);
    const before = await energy(tab);
    await tab.page.mouse.click(...(await tab.at(0.5, 0.5)));
    await until('a bell', async () => ((await energy(tab)) > before + 1e-6 ? true : undefined));
  }, { transport, how, what: blocks.id }));
});

for (const how of ['', BY_BROWSER]) test(`over WebRTC${how} what is lost is taken from the packet after it`, async () => {
  const relay = await Relay.start();
  let packets = 0;
  // Opus has the number 111 in Chromium, and 63 with packets before it. Every twentieth is lost.
  relay.loses = ({ payloadType }) => [111, 63].includes(payloadType) && (packets += 1) % 20 === 0;
  try {
    await play(async (tab) => {
      await tab.playing();
      await gesture(tab);
      // The page makes nothing of what Opus says of the packet before.
      if (how === BY_BROWSER) await until('the node to expect losses', async () => {
        const audio = await tab.page.evaluate(() => window.nearlight.stats?.audio);
        return audio?.expected_loss > 0 ? true : undefined;
      });
      // A page that stands still for a while may lose those of all that time; not all the time.
      const { path } = await until('packets that are made up for, and few that are lost', async () => {
        const now = await sound(tab);
        return now.path?.recovered > 2 && now.path.lost < now.path.expected / 5 ? now : undefined;
      });
      console.log(`WebRTC${how}, 5 % lost: ${JSON.stringify(path)}`);
      await heard(tab);
    }, { transport: 'webrtc', how, prepare: (context) => relay.prepare(context) });
  } finally {
    relay.close();
  }
});

test('over WebTransport what is lost comes with the datagram after it', async () => {
  const session = await node.make('sync-test');
  await node.end(session);
  const relay = await Relay.to(Number(new URL(session.webtransport.url).port));
  relay.thinsBy = 20;
  try {
    await play(async (tab) => {
      await tab.playing();
      await gesture(tab);
      // A page that stands still for a while may lose those of all that time; not all the time.
      const { path } = await until('packets that are made up for, and few that are lost', async () => {
        const now = await sound(tab);
        return now.path?.recovered > 2 && now.path.lost < now.path.expected / 5 ? now : undefined;
      });
      console.log(`WebTransport, 5 % lost: ${JSON.stringify(path)}`);
      await heard(tab);
    }, {
      transport: 'webtransport',
      prepare: async (context) => {
        await alone('webtransport')(context);
        await through(relay.port)(context);
      },
    });
  } finally {
    relay.close();
  }
});

describe('in more than two channels', () => {
  const SURROUND = fileURLToPath(new URL('support/surround', import.meta.url));
  let run, games, host, entry;
  before(async () => {
    // Users that games run as pass through both, wherever this lies.
    [run, games] = ['nl-', 'nearlight-games-'].map((name) => mkdtempSync(join(tmpdir(), name)));
    for (const folder of [run, games]) chmodSync(folder, 0o755);
    cpSync(SURROUND, join(games, 'surround'), { recursive: true });
    // Below 1.5 Mbit/s a player has two channels, and a busy machine's path may seem to take no more.
    host = await Node.start({ 'games.max_cpus': '64.0', 'games.folders': JSON.stringify([games]), 'games.run': run, 'video.min_rate': '2 Mbit/s' });
    const { entries } = await (await host.fetch('api/v1/catalogue')).json();
    entry = entries.find(({ id }) => id === 'surround');
  });
  after(async () => {
    await host?.stop();
    for (const folder of [run, games]) rmSync(folder, { recursive: true, force: true });
  });

  /** Plays the game where it can be had. */
  const game = (name, query, use) => test(name, async (t) => {
    if (entry.unavailable !== undefined) {
      assert.ok(process.env.NEARLIGHT_HOST === undefined, entry.unavailable);
      t.skip(entry.unavailable);
      return;
    }
    await Tab.with({ browser, node: host, query: `?play=surround&width=640&height=360&fps=15&${PATIENT}&${query}` }, async (tab) => {
      await tab.state('live');
      await gesture(tab);
      await use(tab);
    });
    await host.sessionsToBe(0);
  });
  const sent = (tab, channels) => tab.until((wanted) => window.nearlight.stats?.audio?.channels === wanted, channels);
  /** The tone of each channel, in Hz, of those that are loud. */
  const tones = async (tab) => {
    const all = await tab.page.evaluate(() => window.nearlight.tones());
    return all.map(({ hertz, decibels }) => (decibels > -40 ? hertz : undefined));
  };
  const meant = (channels) => Array.from({ length: channels }, (_, channel) => (channel === 3 ? 60 : 400 + 300 * channel));
  /** Waits until each channel has its tone, as exactly as is looked, and as the page plays a little slower or faster. */
  const plays = (tab, expected) => until(`tones of ${expected.join(', ')} Hz`, async () => {
    const now = await tones(tab);
    const same = (tone, at) => (expected[at] === undefined ? tone === undefined : Math.abs(tone - expected[at]) < 20);
    return now.length === expected.length && now.every(same) ? true : undefined;
  });

  for (const [transport, channels] of [['webrtc', 6], ['websocket', 6], ['webtransport', 8]]) {
    game(`over ${transport} each of ${channels} is heard in its place`, `transport=${transport}&channels=${channels}`, async (tab) => {
      await sent(tab, channels);
      await plays(tab, meant(channels));
      await tab.openHud();
      await until('words for it', async () => ((await tab.fact('Sound')).startsWith(`Opus ${channels - 1}.1, `) ? true : undefined));
      await until('how far it is from the picture', async () => (/ ms (before|after) the picture$/.test(await tab.fact('Sound')) ? true : undefined));
      console.log(`${transport}: ${await tab.fact('Sound')}; ${await inStep(tab)} in the median`);
    });
  }

  game('a viewer of two hears the mix, and the player too once it is wanted', 'transport=webtransport&channels=6', async (tab) => {
    await sent(tab, 6);
    await plays(tab, meant(6));
    const link = await invite(tab, SPECTATOR);
    await Tab.with({ browser, node: host, query: `?transport=webtransport&${PATIENT}${link.slice(link.indexOf('#'))}` }, async (viewer) => {
      await viewer.state('live');
      await gesture(viewer);
      await heard(viewer);
      await sent(viewer, 2);
      await sent(tab, 6);
    });
    // Whatever takes the focus closes the menu.
    await until('the menu', async () => {
      const item = tab.page.getByRole('menuitem', { name: /^Sound/ });
      if (!(await item.isVisible())) await tab.page.keyboard.press('Control+Alt+Shift+KeyM');
      return item.press('ArrowRight', { timeout: 5000 }).then(() => true, () => undefined);
    });
    await sent(tab, 2);
    await until('two channels', async () => ((await tones(tab)).length === 2 ? true : undefined));
    await heard(tab);
    await tab.page.reload();
    await tab.state('live');
    await gesture(tab);
    await sent(tab, 2);
    await heard(tab);
  });

  game('nothing is played in more than the device has', 'transport=webtransport', async (tab) => {
    await sent(tab, 2);
    await plays(tab, meant(2));
  });

  game('a track that the browser plays has two', 'transport=webrtc&channels=6&sound=track', async (tab) => {
    await sent(tab, 2);
    await heard(tab);
  });
});

test('a session without sound offers nothing to hear', async () => {
  const quiet = await Node.start({ 'audio.enabled': 'false' });
  try {
    await Tab.with({ browser, node: quiet, query: `?play=sync-test&${gentle('webrtc')}` }, async (tab) => {
      await tab.playing();
      await tab.until(() => window.nearlight.stats !== undefined);
      assert.equal(await tab.page.evaluate(() => window.nearlight.stats.audio), undefined);
      assert.equal(await tab.page.getByRole('slider', { name: 'Volume' }).count(), 0);
      await tab.until((before) => window.nearlight.framesPresented > before + 20, await tab.page.evaluate(() => window.nearlight.framesPresented));
      assert.equal((await sound(tab)).path, undefined);
    });
  } finally {
    await quiet.stop();
  }
});
