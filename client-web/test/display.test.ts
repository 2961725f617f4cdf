import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cursorStyles, lookAt } from '../src/ui/cursor.ts';
import { type Fit, PicturePlace } from '../src/ui/place.ts';
import { viewOf } from '../src/ui/screen.ts';
import type { Size } from '../src/units.ts';
import { normalise } from '../src/video/layout.ts';
import { parseServerMessage } from '../src/wire/control.ts';

const LOOK = { png: 'iVBORw0KGgo=', size: [24, 16], scale: 1, hotspot: [4, 10] };
const message = (change: object): string => JSON.stringify({ type: 'cursor', look: { ...LOOK, ...change } });

describe('the pointer of what is played', () => {
  it('is read, and hidden where there is no look', () => {
    expect(parseServerMessage(message({}))).toMatchObject({ type: 'cursor', look: LOOK });
    expect(parseServerMessage('{"type":"cursor"}')).toEqual({ type: 'cursor' });
  });

  it.each([
    { png: '' },
    { png: 'x") 0 0, url("//elsewhere' },
    { png: 'A'.repeat(32_769) },
    { size: [129, 1] },
    { size: [1] },
    { size: [0, 1] },
    { scale: 0.5 },
    { hotspot: [-1, 0] },
    { hotspot: [0, 128] },
    { hotspot: undefined },
  ])('is refused as a whole where a part is not what it should be: %j', (change) => {
    expect(parseServerMessage(message(change))).toBeUndefined();
  });

  it('is as large as the picture makes it', () => {
    const look = { ...LOOK, size: [24, 16], hotspot: [4, 10] };
    const url = 'url("data:image/png;base64,iVBORw0KGgo=")';
    // Half as large as its pixels: two of them in a CSS pixel.
    expect(cursorStyles(look, 0.5)).toEqual([`${url} 4 10, default`, `image-set(${url} 2.0000x) 2.0 5.0, default`]);
    expect(cursorStyles({ ...look, scale: 2 }, 1)[1]).toBe(`image-set(${url} 0.5000x) 8.0 20.0, default`);
  });

  it('points at its place wherever the picture is', () => {
    const look = { ...LOOK, size: [24, 16], scale: 2, hotspot: [4, 10] };
    const box = { left: 100, top: 50, width: 320, height: 180 };
    expect(lookAt(look, { x: 200, y: 100 }, box, 0.5)).toEqual({ x: 100 + (200 - 8) / 2, y: 50 + (100 - 20) / 2, width: 24 });
  });

  it('is told as a place', () => {
    expect(parseServerMessage('{"type":"pointer","x":3,"y":-4}')).toEqual({ type: 'pointer', x: 3, y: -4 });
    expect(parseServerMessage('{"type":"pointer","x":"3","y":0}')).toBeUndefined();
  });

  it('is no larger than browsers show', () => {
    const [, style] = cursorStyles({ ...LOOK, size: [64, 32], hotspot: [64, 0] }, 10);
    expect(style).toContain('0.5000x) 128.0 0.0');
  });
});

describe('the place of the picture', () => {
  it('is told in device pixels, even both ways, with the dots an inch of its display', () => {
    expect(viewOf({ width: 961, height: 600.4 }, 1)).toEqual({ width: 960, height: 600, dpi: 96 });
    expect(viewOf({ width: 960, height: 601 }, 1.5)).toEqual({ width: 1440, height: 902, dpi: 144 });
    expect(viewOf({ width: 100, height: 100 }, 9)).toEqual({ width: 900, height: 900, dpi: 480 });
  });

  it('is not told while there is none', () => {
    expect(viewOf({ width: 0, height: 600 }, 1)).toBeUndefined();
    expect(viewOf({ width: 600, height: 1 }, 1)).toBeUndefined();
  });
});

describe('a picture that may be smaller than its screen', () => {
  const screen = { width: 1280, height: 720 };
  const surface = {
    getBoundingClientRect: () => ({ left: 10, top: 20, width: 960, height: 600 }),
    classList: { toggle: () => false },
    style: { setProperty: () => undefined },
  } as unknown as HTMLElement;
  const placed = (picture: Size, fit: Fit): PicturePlace => {
    const place = new PicturePlace(surface, () => picture, () => screen, () => undefined);
    place.fit = fit;
    return place;
  };

  beforeEach(() => {
    vi.stubGlobal('window', { devicePixelRatio: 2 });
    vi.stubGlobal('ResizeObserver', class { readonly observe = (): void => undefined; });
  });
  afterEach(() => { vi.unstubAllGlobals(); });

  it.each([screen, { width: 960, height: 540 }, { width: 640, height: 360 }])('is where its screen would be, and so is what is pointed at: %j', (picture) => {
    const cases = [
      ['fit', { left: 10, top: 50, width: 960, height: 540 }, 0.75],
      ['exact', { left: 170, top: 140, width: 640, height: 360 }, 0.5],
    ] as const;
    for (const [fit, box, scale] of cases) {
      const place = placed(picture, fit);
      expect([place.box(), place.scale()]).toEqual([box, scale]);
      // A quarter across and three quarters down; the node is told shares, and knows pixels of its screen.
      const [left, top] = [box.left + box.width / 4, box.top + (3 * box.height) / 4];
      const { x, y } = normalise(place.box(), left, top);
      const at = { x: Math.round((x * screen.width) / 0xffff), y: Math.round((y * screen.height) / 0xffff) };
      expect(at).toEqual({ x: 320, y: 540 });
      // The same pixel as the node tells it, with the pointer's hotspot there and its look as large as on the screen.
      const [across, down] = LOOK.hotspot.map((edge) => edge * scale) as [number, number];
      expect(lookAt(LOOK, at, place.box(), place.scale())).toEqual({ x: left - across, y: top - down, width: 24 * scale });
      expect(cursorStyles(LOOK, place.scale())[1]).toContain(`${(1 / scale).toFixed(4)}x) ${across.toFixed(1)} ${down.toFixed(1)}`);
    }
  });
});
