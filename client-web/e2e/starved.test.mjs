// A browser that has no time keeps up by being sent less, and says so; what it shows is as old at the end as it was at the beginning.
// NEARLIGHT_STARVED_MINUTES asks for longer than half a minute.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Node, until } from './support/node.mjs';
import { Starvation } from './support/starve.mjs';
import { launch, PATIENT, Tab } from './support/tab.mjs';

const STARVED_MS = Number(process.env.NEARLIGHT_STARVED_MINUTES ?? 0.5) * 60_000;
const FPS = 30;
/** Its renderers stand still for nine frames of twelve: what waits for them then is more than a frame and a half on average. */
const SHARE = { stands: 300, runs: 100 };
const SAMPLE_MS = 1_000;

let node, browser;
before(async () => {
  // Nobody touches it all the while.
  node = await Node.start({ 'sessions.idle': '2h' });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
});

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
/** Of a time in which the machine stood still for a moment, too, which a mean is not. */
const median = (values) => values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)];

/** What the page knows now: figures of the node's ledger, and sums of WebRTC's jitter buffer. */
const look = (tab) => tab.page.evaluate(async () => {
  const entries = await window.nearlight.rtcStats();
  const { jitterBufferDelay, jitterBufferTargetDelay, jitterBufferEmittedCount } = entries.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video') ?? {};
  const { total, rate } = window.nearlight.stats ?? {};
  return { state: window.nearlight.state.name, age: total?.p50, limit: rate?.limited_by, part: rate?.frame_rate, jitterBufferDelay, jitterBufferTargetDelay, jitterBufferEmittedCount };
});

for (const transport of ['webrtc', 'webtransport']) {
  test(`a starved browser is sent fewer frames by ${transport}, and what it shows does not get older`, (t) =>
    Tab.with({ browser, node, query: `?play=demo&width=640&height=360&fps=${FPS}&transport=${transport}&${PATIENT}` }, async (tab) => {
      await tab.state('live');
      await until('figures', async () => (await look(tab)).age);
      const starvation = new Starvation(SHARE);
      const [samples, limits] = [[], new Set()];
      /** The least part of the frames that it was sent. */
      let least = 1;
      try {
        await until('fewer frames', async () => {
          const { limit, part } = await look(tab);
          least = Math.min(least, part ?? 1);
          return limit === 'client' && part < 1 ? true : undefined;
        });
        for (const end = performance.now() + STARVED_MS; performance.now() < end;) {
          await pause(SAMPLE_MS);
          const sample = await look(tab);
          assert.notEqual(sample.state, 'ended');
          samples.push(sample);
          limits.add(sample.limit);
          least = Math.min(least, sample.part ?? 1);
        }
      } finally {
        await starvation.end();
      }
      assert.ok(limits.has('client'), [...limits].join());
      // Ages of pictures in frames of the source: a queue that stood would add to them all the time. Of a second in which nothing was
      // shown there is none.
      const told = samples.filter(({ age }) => age !== undefined);
      const ages = told.map(({ age }) => (age * FPS) / 1000);
      const third = Math.floor(ages.length / 3);
      assert.ok(third > 0, JSON.stringify(samples));
      const [first, last] = [median(ages.slice(0, third)), median(ages.slice(-third))];
      // How long a picture waits follows from where it comes within a stand. That moves, since the two have clocks of their own: by up to an
      // interval of the pictures that are sent. And the jitter buffer may hold each for up to a frame.
      const moves = 1 / least + 1;
      t.diagnostic(`pictures were ${first.toFixed(1)} frames old at first and ${last.toFixed(1)} at last, which may be ${moves.toFixed(1)} more`);
      assert.ok(last <= first + moves, `pictures were ${first} frames old at first and ${last} at last: ${ages.map((age) => age.toFixed(1))}`);
      // What libwebrtc would hold them for grows with the jitter (`jitterBufferTargetDelay`); what it does is what the node asks for.
      const [begun, ended] = [samples[0], samples.at(-1)];
      t.diagnostic(`pictures were ${mean(told.map((sample) => sample.age)).toFixed(0)} ms old, p50, on average`);
      if (begun.jitterBufferEmittedCount !== undefined) {
        const each = (of) => (ended[of] - begun[of]) / (ended.jitterBufferEmittedCount - begun.jitterBufferEmittedCount);
        const [held, target] = [each('jitterBufferDelay'), each('jitterBufferTargetDelay')];
        t.diagnostic(`frames were held for ${(held * 1000).toFixed(1)} ms; the target was ${(target * 1000).toFixed(1)} ms`);
        assert.ok(held <= Math.max(1 / FPS, target / 2), `frames were held for ${held * 1000} ms, where the target was ${target * 1000} ms`);
      }
      // It is given time again: what waited is passed over, and frames come back, as many as the machine has time for.
      await until('more frames again', async () => ((await look(tab)).part > least ? true : undefined));
    }));
}
