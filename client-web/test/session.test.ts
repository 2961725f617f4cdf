import { describe, expect, it } from 'vitest';
import { GIVE_UP_MS, PICTURE_MS } from '../src/session/play.ts';
import { hear, live, onAPage, page, pass, problem, setUp, standStill, start } from './scene.ts';

onAPage();

describe('a session', () => {
  it('counts from the click', () => {
    expect(setUp().play.times.askedUs).toBe(7);
  });

  it('whose presenter fails is ended at the node, so that its place is free', async () => {
    const scene = setUp();
    await live(scene);
    scene.play.presenterStopped('no 2D context');
    await pass();
    expect(scene.play.state).toEqual({ name: 'ended', reason: 'presenter', detail: 'no 2D context' });
    expect(scene.newest().said).toContainEqual({ type: 'bye' });
    expect(scene.log.slice(-2)).toEqual(['DELETE sessions/a', 'connection 1 closed']);
  });

  it('that is spoken in goes on being so by the next connection, and not after that', async () => {
    const scene = setUp();
    await live(scene);
    const voice = { kind: 'audio' } as MediaStreamTrack;
    scene.play.speak(voice);
    scene.newest().events.onBroken();
    await pass();
    expect(scene.newest().spoken).toEqual([]);
    scene.newest().open();
    expect(scene.newest().spoken).toEqual([voice]);
    scene.play.speak(undefined);
    expect(scene.newest().spoken).toEqual([voice, undefined]);
    expect(scene.connections[0]?.spoken).toEqual([voice]);
  });

  it('waits for its first picture for as long as it is told of a start that goes on', async () => {
    const scene = setUp();
    await start(scene);
    scene.newest().open();
    for (const step of ['sandbox', 'display', 'game', 'picture']) {
      await pass(PICTURE_MS - 1);
      scene.newest().events.onControl(JSON.stringify({ type: 'starting', step }));
    }
    await pass(PICTURE_MS - 1);
    expect(scene.play.state).toEqual({ name: 'connecting', step: 'picture' });
    await pass(1);
    expect(scene.play.state).toMatchObject({ name: 'refused', reason: 'no-media' });
  });

  it('takes input while a connection is open for it, and not before', async () => {
    const scene = setUp();
    await start(scene);
    // Pictures may come before the channels are open.
    scene.newest().events.onTrack({} as MediaStreamTrack);
    scene.picture();
    await pass();
    expect(scene.play.state.name).toBe('live');
    expect(scene.play.takesInput).toBe(false);
    scene.newest().open();
    expect(scene.play.takesInput).toBe(true);
    scene.newest().events.onBroken();
    expect(scene.play.takesInput).toBe(false);
    await pass();
    scene.newest().open();
    expect(scene.play.takesInput).toBe(true);
  });

  it('that is lost is ended at the node', async () => {
    let up = true;
    const scene = setUp('demo', (_, path) => (up || !path.endsWith('whep') ? undefined : problem('internal', 500)));
    await live(scene);
    up = false;
    scene.newest().events.onBroken();
    await pass(GIVE_UP_MS + 10_000);
    expect(scene.play.state).toMatchObject({ name: 'ended', reason: 'lost' });
    expect(scene.log).toContain('DELETE sessions/a');
  });

  it('that the node ended is not ended again', async () => {
    const scene = setUp();
    await live(scene);
    scene.newest().events.onControl('{"type":"ended","reason":"idle"}');
    await pass();
    expect(scene.play.state).toEqual({ name: 'ended', reason: 'by-node', detail: 'idle' });
    expect(scene.log).not.toContain('DELETE sessions/a');
  });
});

describe('reconnecting', () => {
  it('closes the old connection only after the node has answered the new offer', async () => {
    const scene = setUp();
    await live(scene);
    scene.newest().events.onBroken();
    await pass();
    expect(scene.connections).toHaveLength(2);
    expect(scene.log.slice(-2)).toEqual(['POST sessions/a/whep', 'connection 1 closed']);
    expect(scene.connections[0]?.retired).toBe(true);
    scene.newest().open();
    scene.picture();
    await pass();
    expect(scene.play.state.name).toBe('live');
  });

  it('leaves the old connection open while the node cannot be asked', async () => {
    let up = true;
    const scene = setUp('demo', (_, path) => (up || !path.endsWith('whep') ? undefined : problem('internal', 500)));
    await live(scene);
    up = false;
    scene.newest().events.onBroken();
    await pass(GIVE_UP_MS / 3);
    expect(scene.connections.length).toBeGreaterThan(2);
    expect(scene.connections[0]?.closed).toBe(false);
    // Those that the node never knew leave nothing behind.
    expect(scene.connections.slice(1, -1).every(({ closed }) => closed)).toBe(true);
    scene.play.leave();
    await pass();
    expect(scene.connections.every(({ closed }) => closed)).toBe(true);
  });

  it('waits no longer than a few seconds when the node names a pause', async () => {
    let up = true;
    const scene = setUp('demo', (_, path) => (up || !path.endsWith('whep') ? undefined : problem('conflict', 409, { 'retry-after': '3600' })));
    await live(scene);
    up = false;
    scene.newest().events.onBroken();
    await pass(6_000);
    expect(scene.connections.length).toBeGreaterThan(2);
  });

  it('gives up when no picture comes for long enough', async () => {
    const scene = setUp();
    await live(scene);
    scene.newest().events.onBroken();
    for (let step = 0; step < 10; step += 1) {
      await pass(PICTURE_MS / 2);
      scene.newest().open();
    }
    expect(scene.play.state).toMatchObject({ name: 'ended', reason: 'lost' });
  });
});

describe('a path that falls silent', () => {
  it('is probed, shown as broken, and played on as soon as it is back', async () => {
    const scene = setUp('demo', undefined, { reachable: () => false });
    await live(scene);
    await pass(500);
    expect(scene.newest().probed).toBe(0);
    await pass(500);
    expect(scene.newest().probed).toBeGreaterThan(2);
    expect(scene.play.state.name).toBe('live');
    await pass(1_000);
    expect(scene.play.state).toEqual({ name: 'reconnecting', attempt: 1 });
    await pass(8_000);
    hear(scene);
    expect(scene.play.state.name).toBe('live');
    expect(scene.connections).toHaveLength(1);
  });

  it('is probed and no more by a page that is patient', async () => {
    const scene = setUp('demo', undefined, { patient: true });
    await live(scene);
    await pass(10_000);
    expect(scene.newest().probed).toBeGreaterThan(2);
    expect(scene.states.map(({ name }) => name)).not.toContain('reconnecting');
    expect(scene.connections).toHaveLength(1);
  });

  it('is none where the page stood still itself, and hears the node once it runs on', async () => {
    const scene = setUp();
    await live(scene);
    await pass(300);
    for (const milliseconds of [700, 1_600, 60_000]) {
      standStill(milliseconds);
      // It looks before it reads what was said meanwhile.
      await pass(100);
      hear(scene);
      await pass(300);
      hear(scene);
    }
    expect(scene.states.map(({ name }) => name)).not.toContain('reconnecting');
    expect(scene.connections).toHaveLength(1);
  });

  it('is given its time to be heard where the page stands still meanwhile', async () => {
    const scene = setUp();
    await live(scene);
    window.dispatchEvent(new Event('online'));
    await pass(340);
    standStill(5_000);
    // It would have been over by now.
    await pass(15);
    hear(scene);
    // Its next look is another doubt.
    await pass(100);
    hear(scene);
    await pass(400);
    expect(scene.connections).toHaveLength(1);
  });

  it('is replaced once the node can be reached, and not before', async () => {
    let up = false;
    const scene = setUp('demo', undefined, { reachable: () => up });
    await live(scene);
    await pass(10_000);
    expect(scene.connections).toHaveLength(1);
    up = true;
    // Asked ten times a second, and given a tenth to mend by itself.
    await pass(250);
    expect(scene.connections).toHaveLength(2);
    scene.newest().open();
    scene.picture();
    await pass();
    expect(scene.play.state.name).toBe('live');
    expect(scene.connections[0]?.closed).toBe(true);
  });

  it('is not replaced when it is heard just after the node could be reached', async () => {
    let up = false;
    const scene = setUp('demo', undefined, { reachable: () => up });
    await live(scene);
    await pass(3_000);
    up = true;
    await pass(100);
    hear(scene);
    await pass(1_000);
    expect(scene.connections).toHaveLength(1);
  });

  it('is in doubt when the browser says that the network is back, and stays as it is when the node is heard', async () => {
    const scene = setUp();
    await live(scene);
    window.dispatchEvent(new Event('online'));
    expect(scene.newest().probed).toBe(1);
    await pass(50);
    hear(scene);
    await pass(500);
    expect(scene.connections).toHaveLength(1);
    expect(scene.states.map(({ name }) => name)).not.toContain('reconnecting');
    window.dispatchEvent(new Event('online'));
    await pass(400);
    expect(scene.connections).toHaveLength(2);
  });
});

describe('a hidden page', () => {
  it('waits for its first picture until it is seen', async () => {
    page.visibilityState = 'hidden';
    const scene = setUp();
    await start(scene);
    scene.newest().open();
    await pass(100 * PICTURE_MS);
    expect(scene.play.state).toEqual({ name: 'connecting', step: 'picture' });
    expect(scene.newest().said).toContainEqual({ type: 'visibility', visible: false });
    page.become('visible');
    expect(scene.newest().said).toContainEqual({ type: 'visibility', visible: true });
    await pass(PICTURE_MS - 1);
    scene.picture();
    await pass();
    expect(scene.play.state.name).toBe('live');
  });

  it('says that no picture came when none does after it is seen', async () => {
    page.visibilityState = 'hidden';
    const scene = setUp();
    await start(scene);
    scene.newest().open();
    await pass(PICTURE_MS * 2);
    page.become('visible');
    await pass(PICTURE_MS);
    expect(scene.play.state).toMatchObject({ name: 'refused', reason: 'no-media' });
  });

  it('tells why a session ended before anything of it was seen', async () => {
    const why = 'The game ended at once (exit status 3).';
    const scene = setUp('demo', (method) => (method === 'DELETE' ? problem('ended-session', 410, {}, why) : undefined));
    await start(scene);
    scene.newest().open();
    await pass(PICTURE_MS);
    expect(scene.play.state).toEqual({ name: 'ended', reason: 'by-node', detail: why });
  });

  it('outlives a break of its connection', async () => {
    const scene = setUp();
    await live(scene);
    page.become('hidden');
    scene.newest().events.onBroken();
    await pass();
    scene.newest().open();
    await pass(10 * GIVE_UP_MS);
    expect(scene.connections).toHaveLength(2);
    // Another one, long after the first.
    scene.newest().events.onBroken();
    await pass(1_000);
    expect(scene.connections).toHaveLength(3);
    scene.newest().open();
    await pass(10 * GIVE_UP_MS);
    page.become('visible');
    scene.picture();
    await pass();
    expect(scene.play.state.name).toBe('live');
  });
});
