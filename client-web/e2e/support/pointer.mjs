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

/** Waits until the pointer that the page draws is there; does this between two looks. */
export const drawnAt = (tab, x, y, again = async () => undefined) => until(`a pointer at ${x}, ${y}`, async () => {
  const at = await drawn(tab);
  if (at !== undefined && Math.abs(at[0] - x) < 0.06 && Math.abs(at[1] - y) < 0.06) return true;
  await again();
  return undefined;
});

/** Has the player point there, also where the mouse is there already. */
export async function point(player, x, y) {
  const [left, top] = await player.at(x, y);
  for (const beside of [2, 0]) await player.page.mouse.move(left + beside, top);
}

/** The same until this tab draws it. */
export async function pointedAt(tab, player, x, y) {
  const again = () => point(player, x, y);
  await again();
  await drawnAt(tab, x, y, again);
}
