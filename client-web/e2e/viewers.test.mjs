// Spectators and co-players: who comes by an invitation sees what the player sees, by either transport, and what
// each of them may do. The pictures are coded once, however many watch.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CO_PLAYER, invite, SPECTATOR } from './support/invite.mjs';
import { Node, until } from './support/node.mjs';
import { writeBlocks } from './support/scene.mjs';
import { gesture, heard, sound } from './support/sound.mjs';
import { alone, gentle, GENTLE, launch, PATIENT, reached, Tab } from './support/tab.mjs';

let blocks, node, browser;
before(async () => {
  blocks = writeBlocks();
  // A page that a busy machine loads again comes back in this time.
  node = await Node.start({ 'catalogue.scenes': JSON.stringify([blocks.folder]), 'sessions.away': '60s' });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
  blocks?.remove();
});

const play = (what, use) => Tab.with({ browser, node, query: `?play=${what}&${GENTLE}&${PATIENT}` }, use);
const join = (link, transport, use) => Tab.with({ browser, node, query: `?${gentle(transport)}&${PATIENT}${link.slice(link.indexOf('#'))}`, prepare: alone(transport) }, use);
const panel = (tab) => tab.page.locator('.panel').innerText();
const role = (tab) => tab.page.evaluate(() => window.nearlight.hello?.role);

test('two spectators, one by WebTransport, see the player’s pictures, each of which is coded once', () => play('demo', async (player) => {
  await player.playing();
  const link = await invite(player, SPECTATOR);
  assert.match(link, /\/#join=[0-9a-f]{64}$/);
  await join(link, 'webrtc', async (one) => {
    await one.playing();
    assert.equal(one.page.url().includes('#'), false, 'the invitation is hidden');
    await join(link, 'webtransport', async (two) => {
      await two.playing();
      assert.deepEqual([await role(one), await role(two)], ['spectator', 'spectator']);
      assert.equal(await two.page.evaluate(() => window.nearlight.transport?.kind), 'webtransport');
      await player.until(() => window.nearlight.stats?.viewers.spectators === 2);
      await player.page.locator('.bar .company', { hasText: /^2 watching$/ }).waitFor({ state: 'attached' });
      await two.page.locator('.bar .company', { hasText: /^Spectator · 2 watching$/ }).waitFor({ state: 'attached' });
      for (const tab of [player, one, two]) await tab.frames(20);
      // All are at the same pictures.
      const { frame } = await player.strip();
      for (const tab of [one, two]) await until('the picture that the player saw', async () => (reached((await tab.strip()).frame, frame) ? true : undefined));
      // What a spectator does stays in its page: it has nothing to press either.
      assert.equal(await two.page.getByRole('button', { name: 'Capture mouse' }).isVisible(), false);
      assert.equal(await two.page.getByRole('button', { name: 'Invite' }).isVisible(), false);
      await two.page.locator('.surface').click();
      await two.page.keyboard.press('KeyW');
      assert.deepEqual(await two.inputs(), []);
      assert.equal(await node.metric('nearlight_viewer_input_refused_total'), 0);
      await two.page.keyboard.press('Control+Alt+Shift+KeyS');
      assert.match(await two.page.locator('.facts').innerText(), /Role\s+Spectator/);
      await until('units', async () => ((await node.metric('nearlight_viewer_units_sent_total')) >= 40 ? true : undefined));
      // One after the other: frames go on being captured, so these are counted last.
      const counts = [];
      for (const name of ['viewer_units_sent', 'frames_encoded', 'frames_converted', 'frames_captured']) counts.push(await node.metric(`nearlight_${name}_total`));
      const [units, encoded, converted, captured] = counts;
      assert.ok(encoded > 0 && encoded <= captured && converted <= captured, `${encoded} coded, ${converted} converted of ${captured}`);
      assert.ok(units >= 40, `${units} units for two viewers`);
      // Who has no time for a while asks for one more.
      const keyframes = await node.metric('nearlight_viewer_keyframes_total');
      assert.ok(keyframes < units / 4, `${keyframes} keyframes of ${units} units`);
      // A viewer's page that is loaded again has its place still.
      await two.page.reload();
      await two.playing();
      assert.equal(await role(two), 'spectator');
      await two.frames(5);
      // One browser dies; the others play on.
      await one.page.close();
      await player.frames(10);
      await two.frames(10);
      const sent = player.page.locator('.invite').getByRole('button', { name: /^Revoke/ });
      await sent.click();
      await two.state('ended');
      assert.match(await panel(two), /The player took the invitation back/);
      await player.frames(10);
      await player.until(() => window.nearlight.stats?.viewers.spectators === 0);
    });
  });
  await join(link, 'webrtc', async (late) => {
    await late.state('refused');
    assert.match(await panel(late), /This invitation does not let you in\s+The invitation was revoked\./);
  });
  await player.frames(10);
}));

for (const transport of ['webrtc', 'webtransport']) test(`a spectator and a co-player by ${transport} hear what the player hears, each as loud as they like`, () => play('sync-test', async (player) => {
  await player.playing();
  const made = await node.metric('nearlight_audio_packets_total');
  for (const title of [SPECTATOR, CO_PLAYER]) {
    await join(await invite(player, title), transport, async (viewer) => {
      await viewer.playing();
      await gesture(viewer);
      await heard(viewer);
      await viewer.page.getByRole('slider', { name: 'Volume' }).fill('40');
      await viewer.page.keyboard.press('Control+Alt+Shift+KeyA');
      assert.deepEqual((await sound(viewer)).state, { level: 0.4, muted: true, blocked: false });
      await viewer.page.getByRole('button', { name: 'Unmute' }).waitFor({ state: 'attached' });
    });
  }
  // What a viewer sets is its own.
  assert.equal((await sound(player)).state.muted, false);
  assert.ok((await node.metric('nearlight_audio_packets_total')) > made);
}));

test('a co-player moves what both of them see', () => play(blocks.id, async (player) => {
  await player.playing();
  const link = await invite(player, CO_PLAYER);
  await join(link, 'webrtc', async (helper) => {
    await helper.playing();
    assert.equal(await role(helper), 'co_player');
    await player.until(() => window.nearlight.stats?.viewers.co_players === 1);
    const rest = await player.rests();
    await helper.page.locator('.surface').focus();
    await helper.page.keyboard.down('KeyW');
    await until('a picture that moved', async () => ((await player.strip()).frame === rest ? undefined : true));
    await helper.page.keyboard.up('KeyW');
    await player.rests();
    await helper.page.keyboard.press('Control+Alt+Shift+KeyQ');
  });
  await player.until(() => window.nearlight.stats?.viewers.co_players === 0);
  assert.equal(await player.page.evaluate(() => window.nearlight.state.name), 'live');
}));
