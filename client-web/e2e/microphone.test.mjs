// The player's microphone in a hosted game that records it with `parec` and paints how loud two tones in it are. The browser's
// microphone is Chromium's fake device, which plays a file with one of them; everything behind it is real. Left out, with
// the reason, where this machine gives no sandboxes or has no SDL; NEARLIGHT_HOST=1 makes that a failure.
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Node, until } from './support/node.mjs';
import { Relay } from './support/relay.mjs';
import { launch, PATIENT, Tab } from './support/tab.mjs';

const VOICE = fileURLToPath(new URL('support/voice', import.meta.url));
const SMALL = `width=640&height=360&fps=15&${PATIENT}`;

/** A wave file whose 700 Hz come and go like syllables: what sounds evenly is taken for noise and left out by browsers. */
function speech() {
  const [rate, seconds] = [48_000, 3];
  const samples = Int16Array.from({ length: rate * seconds }, (_, at) => {
    const syllable = Math.max(Math.sin((2 * Math.PI * 3 * at) / rate), 0);
    return Math.round(20_000 * syllable * Math.sin((2 * Math.PI * 700 * at) / rate));
  });
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + samples.byteLength, 4);
  head.write('WAVEfmt ', 8);
  for (const [value, bytes, at] of [[16, 4, 16], [1, 2, 20], [1, 2, 22], [rate, 4, 24], [rate * 2, 4, 28], [2, 2, 32], [16, 2, 34], [samples.byteLength, 4, 40]]) head.writeUIntLE(value, at, bytes);
  head.write('data', 36);
  return Buffer.concat([head, Buffer.from(samples.buffer)]);
}

let run, games, node, browser, entry;
before(async () => {
  // Users that games run as pass through both, wherever this lies.
  [run, games] = ['nl-', 'nearlight-games-'].map((name) => mkdtempSync(join(tmpdir(), name)));
  for (const folder of [run, games]) chmodSync(folder, 0o755);
  cpSync(VOICE, join(games, 'voice'), { recursive: true });
  // The same game, which does not ask for a microphone and listens all the same.
  cpSync(VOICE, join(games, 'eavesdropper'), { recursive: true });
  const toml = join(games, 'eavesdropper/game.toml');
  writeFileSync(toml, readFileSync(toml, 'utf8').replace('devices = ["microphone"]\n', ''));
  writeFileSync(join(run, 'speech.wav'), speech());
  node = await Node.start({ 'games.max_cpus': '64.0', 'games.folders': JSON.stringify([games]), 'games.run': run });
  browser = await launch(['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', `--use-file-for-fake-audio-capture=${join(run, 'speech.wav')}`]);
  const { entries } = await (await node.fetch('api/v1/catalogue')).json();
  entry = entries.find(({ id }) => id === 'voice');
  assert.deepEqual(entries.filter(({ microphone }) => microphone).map(({ id }) => id), ['voice']);
});
after(async () => {
  await browser?.close();
  await node?.stop();
  for (const folder of [run, games]) rmSync(folder, { recursive: true, force: true });
});

/** Plays this game, unless it cannot be had here. */
const game = (name, use, { id = 'voice', transport = 'webrtc', prepare } = {}) => test(name, async (t) => {
  if (entry.unavailable !== undefined) {
    assert.ok(process.env.NEARLIGHT_HOST === undefined, entry.unavailable);
    t.skip(entry.unavailable);
    return;
  }
  await Tab.with({ browser, node, query: `?play=${id}&${SMALL}&transport=${transport}`, prepare }, async (tab) => {
    await tab.state('live');
    await listens(tab);
    await use(tab);
  });
  await node.sessionsToBe(0);
});

/** How bright the three columns are: 700 Hz, 1300 Hz, all of it; undefined before the game runs. */
async function columns(tab) {
  const picture = await tab.picture();
  const at = (row, column) => Math.round(picture[row * 80 + column]);
  return Math.abs(at(38, 40) - 128) < 20 ? [13, 40, 67].map((column) => at(20, column)) : undefined;
}
const listens = (tab) => until('a game that records', async () => ((await columns(tab)) === undefined ? undefined : true));

/** Waits until the game hears the tone, and not the other one. */
function hears(tab) {
  let last;
  return until('the tone in the game', async () => {
    last = await columns(tab);
    // A machine that stood still for five seconds turned it off.
    if ((await tab.page.locator('.hint').textContent()).includes('was interrupted') && (await state(tab)) === 'off') await toggle(tab);
    return last !== undefined && last[0] > 120 && last[0] - last[1] > 60 ? last : undefined;
  }).catch((error) => { throw new Error(`${error.message}; the columns are ${JSON.stringify(last)}`, { cause: error }); });
}
/** Waits until the game hears nothing. */
const hearsNothing = (tab) => until('silence in the game', async () => ((await columns(tab))?.every((level) => level < 12) ? true : undefined));

const state = (tab) => tab.page.evaluate(() => window.nearlight.microphone?.name);
const told = (tab) => tab.page.evaluate(() => window.nearlight.stats?.microphone);
const button = (tab) => tab.page.locator('.bar').getByRole('button', { name: 'Microphone' });
const sign = (tab) => tab.page.getByRole('button', { name: 'The microphone is on. Turn it off' });
const toggle = (tab) => tab.press(button(tab));
const isOn = (tab) => until('a microphone that is on', async () => ((await state(tab)) === 'on' ? true : undefined));

for (const transport of ['webrtc', 'webtransport', 'websocket']) {
  game(`over ${transport} a game hears its player from the click on, and no longer than until the next`, async (tab) => {
    await tab.until(() => window.nearlight.stats?.microphone?.recorded === true);
    const refused = await node.metric('nearlight_voice_refused_total');
    const before = await node.metric('nearlight_voice_packets_total');
    assert.equal(await state(tab), 'off');
    assert.equal(await sign(tab).isVisible(), false);
    await hearsNothing(tab);
    assert.equal((await told(tab)).packets, 0, 'nothing is sent before somebody wants it');
    await toggle(tab);
    const heard = await hears(tab);
    await isOn(tab);
    await sign(tab).waitFor();
    await tab.until(() => window.nearlight.microphone.level > 0.3);
    await tab.until(() => window.nearlight.stats?.microphone?.on === true && window.nearlight.stats.microphone.kbps > 4);
    await tab.openHud();
    await until('the microphone in the statistics', async () => (/^\d+ kbit\/s, the game listens, \d+ of \d+ packets lost.*, buffer \d+ ms/.test(await tab.fact('Microphone')) ? true : undefined));
    console.log(`${transport}: ${await tab.fact('Microphone')}; 700 Hz, 1300 Hz and all of it at ${heard.join(', ')} of 250`);
    // What a machine that stood still held up passes.
    await until('little to be held', async () => ((await told(tab)).buffer_ms <= 60 ? true : undefined));
    // The sign stays when the bar hides, and turns it off.
    await tab.page.evaluate(() => { document.querySelector('.surface').focus(); });
    await tab.page.mouse.move(...(await tab.at(0.5, 0.6)));
    await tab.until(() => document.querySelector('.player').classList.contains('idle'));
    await sign(tab).click();
    assert.equal(await tab.page.evaluate(() => document.activeElement === document.querySelector('.surface')), true);
    await hearsNothing(tab);
    assert.equal(await state(tab), 'off');
    await tab.until(() => window.nearlight.stats?.microphone?.on === false);
    // What was on its way still comes.
    const packets = await until('nothing to be sent any more', async () => {
      const last = (await told(tab)).packets;
      await new Promise((resolve) => { setTimeout(resolve, 500); });
      return (await told(tab)).packets === last ? last : undefined;
    });
    assert.ok(packets > 20 && (await node.metric('nearlight_voice_packets_total')) - before >= packets);
    // Where the page was not heard for some seconds what comes first is refused; who may not speak is refused all.
    assert.ok((await node.metric('nearlight_voice_refused_total')) - refused < packets / 4);
    // And on again, by the menu and the keyboard alone.
    await tab.page.keyboard.press('Control+Alt+Shift+KeyM');
    const row = tab.page.getByRole('menuitem', { name: /^Microphone/ });
    await until('the row of the microphone', async () => {
      await tab.page.keyboard.press('ArrowDown');
      return (await row.evaluate((element) => element === document.activeElement)) ? true : undefined;
    });
    await tab.page.keyboard.press('Enter');
    await hears(tab);
    assert.match(await row.innerText(), /On$/);
    await tab.page.keyboard.press('Escape');
  }, { transport });
}

game('it goes on by another transport, and not on a page that is hidden or loaded again', async (tab) => {
  await toggle(tab);
  await hears(tab);
  await tab.openHud();
  await tab.page.getByRole('button', { name: 'Use WebTransport' }).click();
  await tab.takes('webtransport');
  await hears(tab);
  await isOn(tab);
  await tab.page.getByRole('button', { name: 'Use WebRTC' }).click();
  await tab.takes('webrtc');
  await hears(tab);
  await tab.see('hidden');
  assert.equal(await state(tab), 'off');
  await tab.see('visible');
  await hearsNothing(tab);
  await toggle(tab);
  await hears(tab);
  // A page that is loaded again has no microphone until somebody wants it.
  await tab.page.reload();
  await tab.state('live');
  await hearsNothing(tab);
  assert.equal(await state(tab), 'off');
});

game('a spectator has none, and the player’s is not theirs', async (player) => {
  await toggle(player);
  await hears(player);
  await player.press(player.page.getByRole('button', { name: 'Invite' }));
  const box = player.page.locator('.invite');
  await box.getByLabel('Whoever has the link joins as').selectOption({ label: 'Spectator: watches' });
  const answer = player.page.waitForResponse((response) => response.url().endsWith('/invitations') && response.request().method() === 'POST');
  await box.getByRole('button', { name: 'Make a link' }).click();
  const { url } = await (await answer).json();
  for (const transport of ['webrtc', 'webtransport']) {
    await Tab.with({ browser, node, query: `?${SMALL}&transport=${transport}${url.slice(url.indexOf('#'))}` }, async (viewer) => {
      await viewer.state('live');
      await viewer.until(() => window.nearlight.hello?.microphone === 'not_by_role');
      assert.equal(await button(viewer).isVisible(), false);
      await viewer.page.keyboard.press('Control+Alt+Shift+KeyM');
      await viewer.page.getByRole('menuitem', { name: 'Statistics' }).waitFor();
      assert.equal(await viewer.page.getByRole('menuitem', { name: /^Microphone/ }).count(), 0);
      await viewer.page.keyboard.press('Escape');
    });
  }
  await hears(player);
  assert.equal(await state(player), 'on');
});

game('a game whose entry does not ask for it hears nothing', async (tab) => {
  await tab.until(() => window.nearlight.hello?.microphone === 'not_by_game');
  assert.equal(await button(tab).isVisible(), false);
  await tab.page.keyboard.press('Control+Alt+Shift+KeyM');
  const row = tab.page.getByRole('menuitem', { name: /^Microphone/ });
  assert.match(await row.innerText(), /Not used here/);
  await row.click();
  await until('the reason', async () => (/does not listen to a microphone/.test(await tab.page.locator('.hint').textContent()) ? true : undefined));
  assert.equal(await state(tab), 'off');
  await hearsNothing(tab);
}, { id: 'eavesdropper' });

game('lost packets are made up for', async (tab) => {
  await toggle(tab);
  await hears(tab);
  await until('packets that are made up for', async () => {
    const now = await told(tab);
    return now.lost > 3 && now.recovered > 0 ? now : undefined;
  });
  console.log(`webrtc, 10 % lost: ${JSON.stringify(await told(tab))}`);
  await hears(tab);
}, {
  prepare: async (context) => {
    const relay = await Relay.start();
    let packets = 0;
    relay.losesUp = ({ payloadType }) => payloadType === 111 && (packets += 1) % 10 === 0;
    await relay.prepare(context);
    context.once('close', () => { relay.close(); });
  },
});

for (const [name, kind, words] of [
  ['the user does not allow it', 'NotAllowedError', /does not let this page use the microphone/],
  ['there is none', 'NotFoundError', /No microphone was found/],
]) {
  game(`the page says why it stays off: ${name}`, async (tab) => {
    await tab.page.evaluate((error) => { window.navigator.mediaDevices.getUserMedia = () => Promise.reject(new window.DOMException('a double', error)); }, kind);
    await toggle(tab);
    await until('the reason', async () => (words.test(await tab.page.locator('.hint').textContent()) ? true : undefined));
    assert.equal(await state(tab), 'off');
    assert.equal(await sign(tab).isVisible(), false);
  });
}

game('a microphone that goes away turns itself off', async (tab) => {
  await tab.page.evaluate(() => {
    const { mediaDevices } = window.navigator;
    const get = mediaDevices.getUserMedia.bind(mediaDevices);
    mediaDevices.getUserMedia = async (wanted) => {
      const stream = await get(wanted);
      window.device = stream.getAudioTracks()[0];
      return stream;
    };
  });
  await toggle(tab);
  await hears(tab);
  // As a browser tells it.
  await tab.page.evaluate(() => { window.device.dispatchEvent(new window.Event('ended')); });
  await until('the reason', async () => (/The microphone is gone/.test(await tab.page.locator('.hint').textContent()) ? true : undefined));
  assert.equal(await state(tab), 'off');
  await hearsNothing(tab);
});
