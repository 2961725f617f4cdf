import { describe, expect, it } from 'vitest';
import { isMeant } from '../src/ui/catalogue.ts';
import { waysOf } from '../src/ui/clipboard.ts';
import { optionAfter } from '../src/ui/menu.ts';
import { exactSize, wholeSize } from '../src/ui/place.ts';
import { qualityChoices } from '../src/ui/quality.ts';
import { volumeChoice } from '../src/ui/volume.ts';
import { parseServerMessage } from '../src/wire/control.ts';
import type { Quality } from '../src/wire/index.ts';

describe('the menu of a session', () => {
  const options = ['a', 'b', 'c'].map((value) => ({ value, label: value }));

  it('goes through the options of a choice around their end', () => {
    expect(optionAfter({ options, value: 'a' }, 1)).toBe('b');
    expect(optionAfter({ options, value: 'c' }, 1)).toBe('a');
    expect(optionAfter({ options, value: 'a' }, -1)).toBe('c');
    // One that is not on offer any more counts as the first.
    expect(optionAfter({ options, value: 'z' }, 1)).toBe('b');
  });

  it('offers less than was granted, and all of it', () => {
    const video = { width: 1280, height: 720, fps: 60, max_kbps: 20_000, hdr: false };
    let told: Quality | undefined;
    const [rate, fps] = qualityChoices({ video }, { fps: 30 }, (quality) => { told = quality; });
    expect(rate?.options.map(({ value }) => value)).toEqual(['all', '10000', '5000', '2000']);
    expect(fps?.options.map(({ value }) => value)).toEqual(['all', '30', '15']);
    expect([rate?.value, fps?.value]).toEqual(['all', '30']);
    rate?.onChoose('5000');
    expect(told).toEqual({ fps: 30, max_kbps: 5000 });
    fps?.onChoose('all');
    expect(told).toEqual({});
  });

  it('says the volume as the nearest of what it offers, and nothing of what is muted', () => {
    const levels: number[] = [];
    const choice = volumeChoice({ level: 0.4, muted: false }, (level) => { levels.push(level); });
    expect(choice.value).toBe('50');
    expect(volumeChoice({ level: 1, muted: true }, () => undefined).value).toBe('0');
    for (const by of [1, -1]) choice.onChoose(optionAfter(choice, by));
    expect(levels).toEqual([0.75, 0.25]);
  });
});

describe('the picture on the page', () => {
  const place = { width: 961, height: 600 };

  it('is shown pixel by pixel where that is asked for, or where it all but fills its place', () => {
    expect(exactSize(place, { width: 640, height: 360 }, 'fit', 1)).toBeUndefined();
    expect(exactSize(place, { width: 640, height: 360 }, 'exact', 2)).toEqual({ width: 320, height: 180 });
    expect(exactSize(place, { width: 960, height: 600 }, 'fit', 1)).toEqual({ width: 960, height: 600 });
    expect(exactSize(place, { width: 0, height: 0 }, 'exact', 1)).toBeUndefined();
  });

  it('counts as large as the session when a weak link has it smaller, and not when it is of another size', () => {
    const session = { width: 1366, height: 770 };
    for (const [width, height] of [[1366, 770], [1024, 576], [682, 384]] as const) expect(wholeSize({ width, height }, session)).toEqual(session);
    for (const [width, height] of [[1400, 770], [640, 480], [0, 0]] as const) expect(wholeSize({ width, height }, session)).toEqual({ width, height });
    expect(wholeSize(session, undefined)).toEqual(session);
  });
});

describe('the library', () => {
  it('finds entries by all words that stand in their title, kind or summary', () => {
    const entry = { title: 'Freedoom: Phase 1', genre: 'shooter', summary: 'Played with the Crispy Doom engine.' };
    for (const words of ['', 'DOOM', 'shoot crispy', '  phase   free ']) expect(isMeant(entry, words)).toBe(true);
    for (const words of ['quake', 'doom puzzle']) expect(isMeant(entry, words)).toBe(false);
    expect(isMeant({ title: 'Blocks', summary: '' }, 'blocks')).toBe(true);
  });
});

it('the clipboard goes the ways that the session allows, and none at first', () => {
  expect(waysOf({ to_game: true, from_game: true })).toEqual(['off', 'to_game', 'from_game', 'both']);
  expect(waysOf({ to_game: true, from_game: false })).toEqual(['off', 'to_game']);
  expect(waysOf({ to_game: false, from_game: true })).toEqual(['off', 'from_game']);
  expect(parseServerMessage('{"type":"clipboard","number":3}')).toEqual({ type: 'clipboard', number: 3 });
  for (const number of ['0', '-1', '1.5', '"1"', 'null']) expect(parseServerMessage(`{"type":"clipboard","number":${number}}`)).toBeUndefined();
});

it('a start is told in known steps only', () => {
  expect(parseServerMessage('{"type":"starting","step":"game"}')).toEqual({ type: 'starting', step: 'game' });
  expect(parseServerMessage('{"type":"starting","step":"toString"}')).toBeUndefined();
});
