// What may happen to a page that plays by a way of support/way.mjs.
/** The system's clock, in milliseconds; pages have the same. */
const wall = () => performance.timeOrigin + performance.now();
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** What may happen to a page whose way to the node is cut for `down` milliseconds, and until `seen` settles; each yields when it was mended. */
export const HAPPENS = {
  /** Nothing passes for a while, and nobody is told. */
  async silence({ way, seen }, down) {
    way.cut();
    await Promise.all([pause(down), seen]);
    way.mend();
    return wall();
  },
  /** The browser goes over to another network. */
  async change({ way, page, seen }, down) {
    way.cut();
    await page.context().setOffline(true);
    await Promise.all([pause(down), seen]);
    way.mend({ elsewhere: true });
    const mended = wall();
    await page.context().setOffline(false);
    return mended;
  },
  /** The machine sleeps: the page stands still, and its network is gone. */
  async sleep({ way, page }, down) {
    const tools = await page.context().newCDPSession(page);
    way.cut();
    await tools.send('Page.setWebLifecycleState', { state: 'frozen' });
    await pause(down);
    way.mend();
    const mended = wall();
    await tools.send('Page.setWebLifecycleState', { state: 'active' });
    await tools.detach();
    return mended;
  },
  /** The page is loaded again. */
  async reload({ page }) {
    const began = wall();
    await page.reload();
    return began;
  },
};
