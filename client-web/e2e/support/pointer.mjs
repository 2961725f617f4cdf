// The pointer that a page draws over the picture for who has none there.
import { until } from './node.mjs';

/** Where the pointer is that the page draws itself, as a place in the picture. */
export async function drawn(tab) {
  const [left, top] = await tab.at(0, 0);
  const [right, bottom] = await tab.at(1, 1);
  const box = await tab.page.locator('img.pointer').boundingBox();
  // A pointer's hotspot is somewhere in it.
  return box === null ? undefined : [(box.x + box.width / 2 - left) / (right - left), (box.y + box.height / 2 - top) / (bottom - top)];
}

/** Waits until the pointer that the page draws is there. */
export const drawnAt = (tab, x, y) => until(`a pointer at ${x}, ${y}`, async () => {
  const at = await drawn(tab);
  return at !== undefined && Math.abs(at[0] - x) < 0.06 && Math.abs(at[1] - y) < 0.06 ? true : undefined;
});
