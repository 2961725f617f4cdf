// A DualSense that the user gives the page by WebHID, from its reports to a game that paints what gamepads say, and back. No controller is
// at hand and a browser without a window cannot ask for one, so `navigator.hid` is a double, by USB and by Bluetooth; the
// game is real. Left out, with the reason, where this machine gives no sandboxes or has no SDL; NEARLIGHT_HOST=1 makes that a failure.
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Node, until } from './support/node.mjs';
import { launch, PATIENT, Tab } from './support/tab.mjs';

const PADS = fileURLToPath(new URL('support/pads', import.meta.url));

let run, games, node, browser, entry;
before(async () => {
  // Users that games run as pass through both, wherever this lies.
  [run, games] = ['nl-', 'nearlight-games-'].map((name) => mkdtempSync(join(tmpdir(), name)));
  for (const folder of [run, games]) chmodSync(folder, 0o755);
  cpSync(PADS, join(games, 'pads'), { recursive: true });
  node = await Node.start({ 'games.max_cpus': '64.0', 'games.folders': JSON.stringify([games]), 'games.run': run, 'games.devices': 'off' });
  browser = await launch();
  const { entries } = await (await node.fetch('api/v1/catalogue')).json();
  entry = entries.find(({ id }) => id === 'pads');
});
after(async () => {
  await browser?.close();
  await node?.stop();
  for (const folder of [run, games]) rmSync(folder, { recursive: true, force: true });
});

/** Stands in for the browser's HID devices: it has one DualSense, connected this way. */
function double(wire) {
  const crc32 = (bytes) => {
    let crc = ~0;
    for (const byte of bytes) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
    return ~crc >>> 0;
  };
  const device = new window.EventTarget();
  const state = new Uint8Array(63);
  state.set([128, 128, 128, 128]);
  [state[7], state[32], state[36]] = [8, 0x80, 0x80];
  const told = [];
  Object.assign(device, {
    opened: false,
    vendorId: 0x054c,
    productId: 0x0ce6,
    productName: 'a double of a DualSense',
    collections: [{ outputReports: wire === 'usb' ? [{ reportId: 2 }] : [{ reportId: 2 }, { reportId: 0x31 }] }],
    open: async () => { device.opened = true; },
    close: async () => { device.opened = false; },
    sendReport: async (number, bytes) => { told.push([number, ...bytes]); },
    receiveFeatureReport: async () => new DataView(new ArrayBuffer(41)),
  });
  const hid = new window.EventTarget();
  Object.assign(hid, { getDevices: async () => [], requestDevice: async () => [device] });
  Object.defineProperty(window.navigator, 'hid', { value: hid });
  // Browsers show the same controller as a gamepad, too.
  const pad = {
    index: 0, id: 'DualSense Wireless Controller (STANDARD GAMEPAD Vendor: 054c Product: 0ce6)', connected: true, mapping: 'standard', timestamp: 0,
    axes: [0, 0, 0, 0], buttons: Array.from({ length: 17 }, () => ({ pressed: false, touched: false, value: 0 })), vibrationActuator: null,
  };
  Object.defineProperty(window.navigator, 'getGamepads', { value: () => [pad, null, null, null] });
  window.double = {
    told,
    sums: () => told.map((report) => crc32([0xa2, ...report.slice(0, -4)])),
    /** Reports the state with these bytes changed. */
    report: (change) => {
      for (const [at, value] of Object.entries(change)) state[at] = value;
      let data = new DataView(state.slice().buffer);
      if (wire === 'bluetooth') {
        data = new DataView(new ArrayBuffer(77));
        new Uint8Array(data.buffer).set(state, 1);
        data.setUint32(73, crc32([0xa1, 0x31, ...new Uint8Array(data.buffer, 0, 73)]), true);
      }
      device.dispatchEvent(Object.assign(new window.Event('inputreport'), { reportId: wire === 'usb' ? 1 : 0x31, data }));
    },
    leave: () => { hid.dispatchEvent(Object.assign(new window.Event('disconnect'), { device })); },
  };
}

/** How bright the halves of the columns are. */
async function columns(tab) {
  const picture = await tab.picture();
  const cell = (column, half) => Math.round(picture[(half === 0 ? 10 : 30) * 80 + column * 20 + 10]);
  return Array.from({ length: 4 }, (_, column) => [cell(column, 0), cell(column, 1)]);
}

const [REST, NONE] = [[60, 140], [0, 0]];

/** Waits until the columns are this bright, but for coding noise. */
function paints(tab, wanted) {
  let last;
  return until(`columns ${JSON.stringify(wanted)}`, async () => {
    last = await columns(tab);
    return last.flat().every((value, at) => Math.abs(value - wanted.flat()[at]) < 12) ? true : undefined;
  }).catch((error) => { throw new Error(`${error.message}; they are ${JSON.stringify(last)}`, { cause: error }); });
}

for (const wire of ['usb', 'bluetooth']) {
  test(`a DualSense plays by ${wire} with all that it has`, async (t) => {
    assert.equal(entry?.kind, 'game', node.log());
    if (entry.unavailable !== undefined) {
      assert.ok(process.env.NEARLIGHT_HOST === undefined, entry.unavailable);
      t.skip(entry.unavailable);
      return;
    }
    const prepare = (context) => context.addInitScript(double, wire);
    await Tab.with({ browser, node, query: `?play=pads&width=640&height=360&fps=15&transport=webrtc&${PATIENT}`, prepare }, async (tab) => {
      const { page } = tab;
      await tab.state('live');
      await page.evaluate(() => { document.hasFocus = () => true; });
      const does = (name, ...args) => page.evaluate(([name, args]) => window.double[name](...args), [name, args]);
      // As the browser's own gamepad it is one.
      await paints(tab, [REST, NONE, NONE, NONE]);
      const open = async () => {
        await page.keyboard.press('Control+Alt+Shift+KeyM');
        await page.getByRole('menuitem', { name: /^Controllers$/ }).click();
      };
      await open();
      const box = page.getByRole('complementary', { name: 'Controllers' });
      await box.getByRole('button', { name: 'Use all of a DualSense' }).click();
      await box.getByText('is used with all that it has').waitFor();
      // Half a turn a second, what makes things fall, and a finger in the middle.
      await does('report', { 15: 180 * 16 & 0xff, 16: 180 * 16 >> 8, 23: 0, 24: 0x20, 32: 1, 33: 0xc0, 34: 0xc3, 35: 0x21 });
      await box.getByText('Turns 180, 0, 0 °/s · pulls 0.0, 1.0, 0.0 g · fingers at 50 %, 50 %').waitFor();
      assert.equal(await box.locator('li').count(), 1, 'it is there once');
      await box.getByRole('button', { name: 'Light and triggers' }).click();
      const body = wire === 'usb' ? 1 : 3;
      const [lit] = await until('a light', () => page.evaluate(() => (window.double.told.length > 0 ? window.double.told : undefined)));
      assert.deepEqual([lit[0], lit[body] & 0b1100, lit[body + 10], lit[body + 21], ...lit.slice(body + 44, body + 47)], [wire === 'usb' ? 2 : 0x31, 0b1100, 1, 1, 255, 120, 0]);
      await open();
      // It is the game's now: pressed, it paints; its second button makes the game rumble it.
      await tab.inputs();
      await does('report', { 7: 0x28, 0: 255 });
      await paints(tab, [[220, 220], NONE, NONE, NONE]);
      await does('report', { 7: 0x48 });
      const rumbles = (report) => (report[body] & 3) === 3 && report[body + 3] === 255;
      await until('a rumble, and its end', async () => {
        const all = await page.evaluate(() => window.double.told);
        const at = all.findIndex(rumbles);
        return at !== -1 && all.slice(at).some((report) => (report[body] & 3) === 3 && report[body + 3] === 0) ? true : undefined;
      });
      if (wire === 'bluetooth') {
        const [all, sums] = await page.evaluate(() => [window.double.told, window.double.sums()]);
        for (const [at, report] of all.entries()) assert.equal(new DataView(Uint8Array.from(report.slice(-4)).buffer).getUint32(0, true), sums[at]);
      }
      // A game that takes neither motion nor touchpads is sent none, and nothing says otherwise.
      const { pad_extras: extras, pads, no_devices: why } = await page.evaluate(() => window.nearlight.hello.input);
      assert.deepEqual([extras, pads], [false, 'library']);
      assert.match(await page.locator('.controllers .taken').textContent(), /through a library/);
      assert.ok((await page.locator('.controllers .taken').textContent()).includes(why), why);
      assert.deepEqual((await tab.inputs()).filter((kind) => kind === 'pad-motion' || kind === 'pad-touch'), []);
      // Without it the browser's own is there again.
      await does('leave');
      await paints(tab, [REST, NONE, NONE, NONE]);
    });
    await node.sessionsToBe(0);
  });
}
