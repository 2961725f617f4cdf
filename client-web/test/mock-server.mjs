// A mock node: serves dist/ under the real page's content policy, a made-up catalogue, and sessions whose
// media a hook answers. For looking at the page and for test/browser.mjs; nothing here is a node.
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { pathToFileURL } from 'node:url';

const DIST = new URL('../dist/', import.meta.url);
const TYPES = { html: 'text/html; charset=utf-8', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' };
/** As in server/src/http/assets.rs. */
const POLICY =
  "default-src 'self'; connect-src *; img-src 'self' data: blob: https: http:; media-src 'self' blob:; worker-src 'self' blob:; frame-ancestors 'self'; base-uri 'none'; form-action 'none'";

const ENTRIES = [
  {
    id: 'demo',
    title: 'Courtyard',
    summary: 'Walk through a small courtyard at dusk. Lanterns sway, water moves, and what you click lights up at once.',
    kind: 'scene',
    controls: [
      { input: 'WASD', action: 'walk' },
      { input: 'Mouse', action: 'look around' },
      { input: 'Click', action: 'light a lantern' },
      { input: 'Shift', action: 'run' },
    ],
  },
  {
    id: 'full',
    title: 'Helmet',
    summary: 'A battle-worn flight helmet to turn and look at from up close.',
    kind: 'scene',
    controls: [{ input: 'Drag', action: 'turn' }, { input: 'Wheel', action: 'come closer' }],
  },
  {
    id: 'pattern',
    title: 'Test pattern',
    summary: 'A synthetic moving picture at a steady rate, for measuring the path.',
    kind: 'synthetic',
    controls: [],
  },
  {
    id: 'broken',
    title: 'Museum hall',
    summary: 'A large hall with many small lights.',
    kind: 'scene',
    controls: [],
    unavailable: 'The scene file is truncated: the buffer ends after 1,024 of 88,000 bytes.',
  },
];

const NODE = {
  version: '0.0.0-mock',
  open: true,
  device: 'llvmpipe (software Vulkan)',
  encoders: [
    { name: 'nvenc', codec: 'H.264', verdict: 'libnvidia-encode.so.1 is not installed', chosen: false },
    { name: 'x264enc', codec: 'H.264', verdict: 'ok', chosen: true },
  ],
};

function poster(id) {
  const hue = [...id].reduce((sum, letter) => sum + letter.charCodeAt(0) * 37, 0) % 360;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 360"><rect width="640" height="360" fill="hsl(${hue} 32% 24%)"/><path d="M0 260L150 150l110 90 120-140 260 180v80H0z" fill="hsl(${hue} 30% 16%)"/><circle cx="470" cy="96" r="40" fill="hsl(38 85% 66%)"/><path d="M0 310q160-50 320-10t320-20v80H0z" fill="hsl(${hue} 34% 11%)"/></svg>`;
}

/**
 * Starts a mock node on loopback. `hooks.answer(offer)` answers SDP; without it offers are refused.
 * `seen` records what was asked, in order.
 */
export async function startMock({ port = 0, answer, delay = 0, token } = {}) {
  const seen = [];
  const hooks = { answer, delay, token, catalogueFails: false };
  let made = 0;

  const server = http.createServer((request, response) => {
    handle(request, response).catch((error) => {
      response.writeHead(500).end(String(error));
    });
  });

  async function handle(request, response) {
    const base = `http://${request.headers.host}`;
    const url = new URL(request.url, base);
    const body = await text(request);
    const json = (status, value, headers = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
    };
    const problem = (status, kind, title, detail, headers = {}) =>
      json(status, { type: `/problems/${kind}`, title, status, detail }, { 'content-type': 'application/problem+json', ...headers });

    if (!url.pathname.startsWith('/api/')) return file(url.pathname, response);
    seen.push({ method: request.method, path: url.pathname, body, authorization: request.headers.authorization, ifMatch: request.headers['if-match'] });
    const session = /^\/api\/v1\/sessions\/([^/]+)(\/whep(\/[^/]+)?)?$/.exec(url.pathname);

    if (url.pathname === '/api/v1/catalogue') {
      if (hooks.catalogueFails) return problem(500, 'internal', 'The node failed', 'the catalogue is being read');
      return json(200, { entries: ENTRIES.map((entry) => ({ ...entry, poster_url: `${base}/api/v1/catalogue/${entry.id}/poster` })) });
    }
    if (url.pathname.endsWith('/poster')) {
      return response.writeHead(200, { 'content-type': TYPES.svg }).end(poster(url.pathname.split('/').at(-2)));
    }
    if (url.pathname === '/api/v1/node') return json(200, NODE);
    if (url.pathname === '/api/v1/sessions' && request.method === 'POST') {
      await new Promise((resolve) => setTimeout(resolve, hooks.delay));
      if (hooks.token && request.headers.authorization !== `Bearer ${hooks.token}`) {
        return problem(401, 'unauthorized', 'This needs a bearer token that is valid here');
      }
      const { app } = JSON.parse(body);
      if (app === 'full') return problem(503, 'refused', 'The node cannot take this session', '4 of 4 sessions are in use', { 'retry-after': '5' });
      const address = `${base}/api/v1/sessions/mock-${(made += 1)}`;
      return json(201, {
        id: `mock-${made}`, app, state: 'starting', video: { width: 1280, height: 720, fps: 30, max_kbps: 8000 },
        url: address, whep_url: `${address}/whep`, token: `token-${made}`, ice_servers: [],
      });
    }
    if (session && request.method === 'DELETE') return response.writeHead(204).end();
    if (session && request.method === 'PATCH') return response.writeHead(204).end();
    if (session && request.method === 'POST') {
      if (!hooks.answer) return problem(406, 'unusable-offer', 'The SDP offer has no codec that this node sends', 'a mock sends none');
      const sdp = await hooks.answer(body);
      if (sdp === undefined) return problem(410, 'ended-session', 'The session is over', 'nobody was there for 15 minutes');
      return response
        .writeHead(201, { 'content-type': 'application/sdp', location: `${url.pathname}/1`, etag: '"1"' })
        .end(sdp);
    }
    return problem(404, 'not-found', 'There is nothing at this address');
  }

  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, seen, hooks, close: () => server.close() };
}

async function file(path, response) {
  const name = path === '/' ? 'index.html' : path.slice(1);
  // The mock peer is a page of its own, under no policy.
  const source = name.startsWith('mock-peer') ? new URL(name, import.meta.url) : new URL(name, DIST);
  if (!source.href.startsWith(new URL('..', DIST).href)) return response.writeHead(404).end();
  const content = await readFile(source).catch(() => undefined);
  if (content === undefined) return response.writeHead(404).end();
  const headers = { 'content-type': TYPES[name.split('.').at(-1)] ?? 'application/octet-stream' };
  if (!name.startsWith('mock-peer')) headers['content-security-policy'] = POLICY;
  response.writeHead(200, headers).end(content);
}

async function text(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const mock = await startMock({ port: Number(process.env.PORT ?? 8099) });
  console.log(`mock node at ${mock.url}`);
}
