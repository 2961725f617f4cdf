import { beforeEach, describe, expect, it, vi } from 'vitest';
import { leaveBehind, takeUp } from '../src/session/kept.ts';
import type { PlayState } from '../src/session/state.ts';
import { live, onAPage, pass, problem, session, setUp, start, type Respond } from './scene.ts';

onAPage();

describe('a page that is loaded again', () => {
  const resumable = { ...session, resume_ticket: 'next' };
  const answers: Respond = (method, path) => (method === 'POST' && (path === 'sessions' || path.endsWith('redeem')) ? Response.json(resumable, { status: 201 }) : undefined);
  let kept: Map<string, string>;
  beforeEach(() => {
    kept = new Map();
    vi.stubGlobal('sessionStorage', {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => { kept.set(key, value); },
      removeItem: (key: string) => { kept.delete(key); },
    });
  });

  it('takes its session up by the ticket that the page before left, which is gone from the tab then', async () => {
    const scene = setUp('demo', answers);
    await live(scene);
    window.dispatchEvent(new Event('pagehide'));
    await pass();
    expect(scene.log).not.toContain('DELETE sessions/a');
    expect(scene.newest().said).not.toContainEqual({ type: 'bye' });
    expect(scene.newest().closed).toBe(true);
    expect(takeUp('other')).toBeUndefined();
    window.dispatchEvent(new Event('pagehide'));
    leaveBehind('demo', { session: 'a', ticket: 'next' });
    const left = takeUp('demo');
    expect(left).toEqual({ session: 'a', ticket: 'next' });
    expect(kept.size).toBe(0);
    const again = setUp('demo', answers, { left: { session: 'a', ticket: 'next' } });
    await start(again);
    expect(again.log).toEqual(['POST sessions/a/redeem', 'POST sessions/a/whep']);
  });

  it('begins anew where its session is over, and ends what it leaves without a ticket', async () => {
    const gone: Respond = (_, path) => (path.endsWith('redeem') ? problem('ended-session', 410) : undefined);
    const scene = setUp('demo', gone, { left: { session: 'a', ticket: 'old' } });
    await live(scene);
    expect(scene.log.slice(0, 2)).toEqual(['POST sessions/a/redeem', 'POST sessions']);
    window.dispatchEvent(new Event('pagehide'));
    await pass();
    expect(scene.log).toContain('DELETE sessions/a');
    expect(kept.size).toBe(0);
  });

  it('takes a viewer’s place up, which needs its link no more', async () => {
    const place = 'https://node.test/api/v1/viewers/b';
    const joined = { ...session, id: 'b', url: place, whep_url: `${place}/whep`, role: 'spectator' };
    const shown = { ...joined, token: undefined };
    const viewer: Respond = (method, path) => {
      if (path === 'join') return Response.json(joined, { status: 201 });
      return method === 'GET' && path === 'viewers/b' ? Response.json(shown) : undefined;
    };
    const scene = setUp({ invitation: 'i' }, viewer);
    await live(scene);
    window.dispatchEvent(new Event('pagehide'));
    await pass();
    expect(scene.log).not.toContain('DELETE viewers/b');
    expect(scene.newest().closed).toBe(true);
    const left = takeUp('');
    expect(left).toEqual({ place, token: 'own' });
    expect(kept.size).toBe(0);
    const again = setUp({ place, token: 'own' }, viewer);
    await live(again);
    expect(again.log.slice(0, 2)).toEqual(['GET viewers/b', 'POST viewers/b/whep']);
    // And the page after that one.
    window.dispatchEvent(new Event('pagehide'));
    expect(takeUp('')).toEqual(left);
  });

  it('is told where a viewer’s place is gone', async () => {
    const gone = setUp({ place: 'https://node.test/api/v1/viewers/b', token: 'own' }, () => problem('ended-session', 410, {}, 'The player took the invitation back.'));
    await start(gone);
    expect(gone.play.state).toEqual({ name: 'ended', reason: 'by-node', detail: 'The player took the invitation back.' });
  });

  it('that finds nonsense in its storage begins anew', () => {
    for (const nonsense of ['{', 'null', '[]', '{"play":"demo"}', '{"play":"demo","session":1,"ticket":"t"}', '{"play":"demo","place":"p"}']) {
      kept.set('nearlight-session', nonsense);
      expect(takeUp('demo')).toBeUndefined();
    }
  });
});

describe('a link', () => {
  const link = { session: 'a', ticket: 't' };
  const refused = async (answer: () => Response): Promise<PlayState> => {
    const scene = setUp(link, () => answer());
    await start(scene);
    return scene.play.state;
  };

  it.each(['used', 'expired', 'unknown'])('that is %s is told apart from a node that asks for a token', async (why) => {
    const state = await refused(() => problem('unauthorized', 401, {}, `the token is ${why}`));
    expect(state).toEqual({ name: 'refused', reason: 'link-used', detail: undefined });
  });

  it('to a session that nobody knows is as good as used', async () => {
    expect(await refused(() => problem('unknown-session', 404))).toMatchObject({ name: 'refused', reason: 'link-used' });
  });

  it('to a session that is over says so, and why', async () => {
    const state = await refused(() => problem('ended-session', 410, {}, 'The player ended the session.'));
    expect(state).toEqual({ name: 'ended', reason: 'by-node', detail: 'The player ended the session.' });
  });

  it('is not blamed when a node asks for a token', async () => {
    const scene = setUp('demo', () => problem('unauthorized', 401));
    await start(scene);
    expect(scene.play.state).toMatchObject({ name: 'refused', reason: 'unauthorized' });
  });
});

it('no room now is told apart from what cannot be played', async () => {
  const refused = async (headers: Record<string, string>): Promise<PlayState> => {
    const scene = setUp('demo', () => problem('refused', 503, headers, 'why'));
    await start(scene);
    return scene.play.state;
  };
  expect(await refused({ 'retry-after': '30' })).toEqual({ name: 'refused', reason: 'refused', detail: 'why' });
  expect(await refused({})).toEqual({ name: 'refused', reason: 'unplayable', detail: 'why' });
});
