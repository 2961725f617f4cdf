// What stands in the way before anything is played: no secure context, no transport.
import { secureAddress } from '../platform.ts';
import { KINDS, TITLES, type Lacks } from '../session/choice.ts';
import { button, h } from './dom.ts';
import { icons, logo } from './icons.ts';

/**
 * A notice for pages on plain HTTP from another machine, where browsers withhold what low latency and
 * full keyboard control need. Undefined where all is well.
 */
export function insecureNotice(address: URL): HTMLElement | undefined {
  if (window.isSecureContext) return undefined;
  const secure = secureAddress(address);
  const notice = h(
    'section',
    { class: 'notice', role: 'region', 'aria-labelledby': 'insecure' },
    icons.lock(),
    h(
      'div',
      {},
      h('h2', { id: 'insecure' }, 'This page came over plain HTTP'),
      h('p', {}, 'Browsers then withhold frame-by-frame video, raw mouse motion and keyboard lock: it plays with more delay and less control. Over HTTPS everything works. A node with its own certificate makes the browser ask once whether to go on.'),
      h('p', {}, h('a', { class: 'button primary', href: secure }, `Open ${new URL(secure).host} over HTTPS`)),
    ),
    button({ label: 'Dismiss', onClick: () => { notice.remove(); } }),
  );
  return notice;
}

/** A page instead of everything else for browsers that cannot play at all; undefined for all others. */
export function unsupportedPage(lacks: Lacks): HTMLElement | undefined {
  const reasons = KINDS.map((kind) => lacks[kind]);
  if (reasons.includes(undefined)) return undefined;
  return h(
    'main',
    { class: 'wall' },
    logo(),
    h('h1', {}, 'This browser cannot play here'),
    h('p', {}, 'Nearlight streams over WebRTC, WebTransport or a WebSocket. Current versions of Chrome, Edge, Firefox and Safari have the first; Chrome and Edge have all three, and the lowest delay.'),
    h('ul', {}, ...KINDS.map((kind) => h('li', {}, `${TITLES[kind]}: ${lacks[kind] ?? ''}.`))),
  );
}
