// What a tab plays of a session's sound.
import assert from 'node:assert/strict';
import { until } from './node.mjs';

export const sound = (tab) => tab.page.evaluate(() => window.nearlight.sound());

/** Energy of what was played since the beginning. */
export const energy = (tab) => tab.page.evaluate(async () => {
  const { played } = await window.nearlight.sound();
  if (played !== undefined) return played.energy;
  const inbound = (await window.nearlight.rtcStats()).find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio');
  return inbound?.totalAudioEnergy ?? 0;
});

/** Waits until something is heard. */
export const heard = async (tab) => {
  const already = await energy(tab);
  await until('sound', async () => ((await energy(tab)) > already ? true : undefined));
};

/** Half as much again as the most that was measured (README, Sound), where the browser plays the track itself. */
const MOST_APART_MS = 150;
/** Readings that the median is of: those of two seconds and more. */
const READINGS = 9;

/**
 * Waits until the sound is with the picture in the median of the newest readings; yields that, in milliseconds by which it is later.
 * A machine without time has outliers, or finds its buffer late; a wrong clock or unit stays.
 */
export const inStep = async (tab) => {
  const readings = [];
  const middle = () => readings.toSorted((a, b) => a - b)[(READINGS - 1) / 2];
  return until('sound in step with the picture', async () => {
    const { skewMs } = await sound(tab);
    // The same again is no other reading.
    if (skewMs === undefined || skewMs === readings.at(-1)) return undefined;
    assert.ok(Number.isFinite(skewMs), String(skewMs));
    readings.push(skewMs);
    if (readings.length > READINGS) readings.shift();
    return readings.length === READINGS && Math.abs(middle()) <= MOST_APART_MS ? middle() : undefined;
  }).catch((error) => { throw new Error(`${error.message}; it is later by ${readings.map(Math.round).join(', ')} ms`, { cause: error }); });
};

/** The browser plays nothing before somebody does something. */
export const gesture = async (tab) => {
  await tab.page.mouse.click(...(await tab.at(0.5, 0.9)));
  await until('the browser to play', async () => ((await sound(tab)).state.blocked ? undefined : true));
  await tab.page.evaluate(() => { document.exitPointerLock(); });
};
