// What a tab plays of a session's sound.
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

/** The browser plays nothing before somebody does something. */
export const gesture = async (tab) => {
  await tab.page.mouse.click(...(await tab.at(0.5, 0.9)));
  await until('the browser to play', async () => ((await sound(tab)).state.blocked ? undefined : true));
  await tab.page.evaluate(() => { document.exitPointerLock(); });
};
