// Streams that lost pictures on the way, as encoder/tests/recovery/ leaves them, decoded by the browser: what it makes of
// them after the encoder has recovered is, bit by bit, what FFmpeg makes of the same stream without the loss.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { DEADLINE_MS, TARGET } from './support/node.mjs';
import { launch } from './support/tab.mjs';

const FOLDER = `${TARGET}/tmp/recovery`;
const streams = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.endsWith('.ivf')).map((name) => name.slice(0, -4)) : [];
const MEANS = [
  'x264', 'x264-wave-fast', 'x264-wave-slow', 'gst-x264enc-wave-fast', 'gst-x264enc-wave-slow', 'openh264', 'vpx-vp8', 'vpx-vp9', 'vpx-vp9-hdr', 'aom-av1',
  'nvenc-h264-double',
];

let server, browser, page, hashes;
before(async () => {
  assert.ok(streams.length > 0, `${FOLDER} has no streams: run \`cargo test --workspace --test recovery\``);
  // Of every encoder that recovers, by each of its means.
  for (const means of MEANS) {
    assert.ok(streams.some((name) => name.startsWith(`${means}-`) && /^-\d+-\d+-(received|withheld)$/.test(name.slice(means.length))), `no stream of ${means}`);
  }
  // Pictures come back by HTTP: through the debugging protocol they would take minutes.
  server = createServer((request, response) => {
    const [, what, name, bytes] = request.url.split('/');
    if (request.method === 'POST') {
      const parts = [];
      request.on('data', (part) => parts.push(part)).on('end', () => {
        const pictures = Buffer.concat(parts);
        hashes = [];
        for (let at = 0; at < pictures.length; at += Number(bytes)) {
          hashes.push(createHash('md5').update(pictures.subarray(at, at + Number(bytes))).digest('hex'));
        }
        response.end();
      });
    } else if (what === 'stream') {
      response.end(readFileSync(`${FOLDER}/${name}.ivf`));
    } else {
      response.setHeader('content-type', 'text/html').end('<!doctype html><title>streams</title>');
    }
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  browser = await launch();
  page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`, { timeout: DEADLINE_MS });
});
after(async () => {
  await browser?.close();
  server?.close();
});

/** Decodes a stream in the page and sends the pictures back; yields their times, or why there are none. */
async function decode({ name, codec }) {
  if (!(await window.VideoDecoder.isConfigSupported({ codec })).supported) return { unsupported: true };
  const file = await (await fetch(`/stream/${name}`)).arrayBuffer();
  const view = new DataView(file);
  const shown = [];
  let failure;
  const decoder = new window.VideoDecoder({
    output: (frame) => {
      const { timestamp, format } = frame;
      const samples = new Uint8Array(frame.allocationSize());
      shown.push(frame.copyTo(samples).then(() => ({ timestamp, format, samples })).finally(() => { frame.close(); }));
    },
    error: (error) => { failure = String(error); },
  });
  decoder.configure({ codec, optimizeForLatency: true });
  // An IVF file: a header, then the size, the frame's number and the bytes of each unit.
  for (let at = view.getUint16(6, true); at < file.byteLength && failure === undefined;) {
    const [size, timestamp] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
    const data = new Uint8Array(file, at + 12, size);
    // Only the first is told to be a keyframe: what the others are is theirs to show.
    decoder.decode(new window.EncodedVideoChunk({ type: timestamp === 0 ? 'key' : 'delta', timestamp, data }));
    at += 12 + size;
    while (decoder.decodeQueueSize > 4) await new Promise((resolve) => { decoder.addEventListener('dequeue', resolve, { once: true }); });
    await Promise.all(shown);
  }
  if (failure === undefined) await decoder.flush();
  const pictures = await Promise.all(shown);
  const bytes = Math.max(0, ...pictures.map(({ samples }) => samples.length));
  await fetch(`/pictures/${name}/${bytes}`, { method: 'POST', body: new window.Blob(pictures.map(({ samples }) => samples)) });
  return { failure, bytes, pictures: pictures.map(({ timestamp, format, samples }) => ({ timestamp, format, bytes: samples.length })) };
}

for (const name of streams) {
  test(`${name} is clean again`, async (t) => {
    const { codec, clean } = JSON.parse(readFileSync(`${FOLDER}/${name}.json`, 'utf8'));
    const decoded = await page.evaluate(decode, { name, codec });
    if (decoded.unsupported) {
      // This is what every browser plays.
      assert.ok(!codec.startsWith('avc1') && codec !== 'vp8', `the browser does not decode ${codec}`);
      t.skip(`the browser does not decode ${codec}`);
      return;
    }
    assert.equal(decoded.failure, undefined);
    const [seen, layout] = [{}, codec.startsWith('vp09.02') ? 'I420P10' : 'I420'];
    for (const [at, { timestamp, format, bytes }] of decoded.pictures.entries()) {
      assert.deepEqual([format, bytes], [layout, decoded.bytes]);
      if (timestamp in clean) seen[timestamp] = hashes[at];
    }
    assert.ok(Object.keys(clean).length > 0);
    assert.deepEqual(seen, clean);
  });
}
