import { describe, expect, it } from 'vitest';
import { FORGIVE_MS, TransportChoice, type Abilities, type Chosen, type Lacks, type TransportKind, type TransportWish } from '../src/session/choice.ts';
import type { Comparison } from '../src/session/measured.ts';
import { unkept } from './scene.ts';

const able: Abilities = { lacks: {}, decodes: ['H264', 'AV1'] };
const node = { webtransport: true, websocket: true, hdr: false };
const of = (choice: TransportChoice, now = 0): Chosen => choice.choose(able, node, now);
const made = (wish: TransportWish = 'auto', lacks: Lacks = {}): TransportChoice => new TransportChoice(wish, lacks, unkept());

describe('the choice of a transport', () => {
  it('is settled before the node is asked only where the node cannot change it', () => {
    expect(made('webrtc').isSettled(0)).toBe(true);
    expect(made('webtransport', { webtransport: 'this browser has no WebTransport' }).isSettled(0)).toBe(true);
    expect(made('auto').isSettled(0)).toBe(true);
    expect(made('webtransport').isSettled(0)).toBe(false);
    const choice = made('auto');
    choice.failed('webrtc', 'brought no picture', 0);
    expect(choice.isSettled(1)).toBe(false);
    expect(made('websocket').isSettled(0)).toBe(false);
    const alone = made('auto', { webtransport: 'no', websocket: 'no' });
    alone.failed('webrtc', 'brought no picture', 0);
    expect(alone.isSettled(1)).toBe(true);
  });

  it('says why it is what it is', () => {
    expect(of(made())).toEqual({ kind: 'webrtc', reason: 'the default' });
    expect(of(made('webtransport'))).toEqual({ kind: 'webtransport', reason: 'the page’s address asks for it; decodes H264, AV1' });
    expect(of(made('webrtc'))).toEqual({ kind: 'webrtc', reason: 'the page’s address asks for it' });
    expect(of(made('webtransport', { webtransport: 'no such thing' }))).toEqual({ kind: 'webrtc', reason: 'no such thing' });
    expect(made('webtransport').choose(able, { ...node, webtransport: false }, 0)).toEqual({ kind: 'webrtc', reason: 'the node offers no WebTransport' });
    expect(made('webtransport').choose({ lacks: { webtransport: 'decodes nothing', websocket: 'decodes nothing' }, decodes: [] }, node, 0)).toEqual({ kind: 'webrtc', reason: 'decodes nothing' });
    expect(made('webtransport').choose(able, { ...node, hdr: true }, 0).reason).toMatch(/dynamic range/);
  });

  it('is another one where the browser has no WebRTC, whatever is asked for', () => {
    const webrtc = 'this browser has no WebRTC';
    for (const wish of ['auto', 'webrtc'] as const) {
      const choice = made(wish, { webrtc });
      expect(choice.isSettled(0)).toBe(false);
      expect(of(choice)).toEqual({ kind: 'webtransport', reason: `${webrtc}; decodes H264, AV1` });
      expect(choice.entrants('webtransport', able, node, 0).map(({ kind }) => kind)).toEqual(['webtransport', 'websocket']);
      expect(choice.choose(able, { ...node, webtransport: false }, 0).kind).toBe('websocket');
    }
    expect(of(made('websocket', { webrtc })).kind).toBe('websocket');
    // Where all has failed, it is not what the browser does not have.
    const last = made('auto', { webrtc });
    last.failed('webtransport', 'did not connect', 0);
    expect(last.hasMore(able, node, 0)).toBe(true);
    last.failed('websocket', 'was refused: no', 0);
    expect(last.hasMore(able, node, 0)).toBe(false);
    expect(of(last).kind).toBe('webtransport');
    expect(last.choose(able, { ...node, webtransport: false }, 0).kind).toBe('websocket');
    expect(made().hasMore(able, node, 0)).toBe(true);
  });

  it('waits longer for what was asked for', () => {
    expect(made('webtransport').limitMs('webtransport')).toBeGreaterThan(made().limitMs('webtransport'));
    expect(made().limitMs('websocket')).toBe(made('websocket').limitMs('websocket'));
  });

  it('is not what was wanted where something else was connected sooner, and says that', () => {
    const why = (choice: TransportChoice, kind: TransportKind): string => choice.reason(kind, new Map(), able, node, 0);
    expect(why(made(), 'webtransport')).toBe('WebRTC was not connected as soon; decodes H264, AV1');
    expect(why(made('webtransport'), 'webrtc')).toBe('WebTransport was not connected as soon');
    expect(why(made(), 'webrtc')).toBe('the default');
  });

  it('remembers what failed, and not for ever', () => {
    const choice = made('webtransport');
    choice.failed('webtransport', 'did not connect', 10);
    expect(of(choice, 10 + FORGIVE_MS - 1)).toEqual({ kind: 'webrtc', reason: 'WebTransport did not connect' });
    expect(of(choice, 10 + FORGIVE_MS).kind).toBe('webtransport');
  });

  it('is the other one where the default brings no picture, and the default again where neither does', () => {
    const choice = made();
    choice.failed('webrtc', 'brought no picture', 0);
    expect(of(choice)).toEqual({ kind: 'webtransport', reason: 'WebRTC brought no picture; decodes H264, AV1' });
    expect(choice.choose(able, { ...node, webtransport: false, websocket: false }, 0)).toEqual({ kind: 'webrtc', reason: 'the default' });
    choice.failed('webtransport', 'did not connect', 0);
    choice.failed('websocket', 'was refused: no', 0);
    expect(of(choice)).toEqual({ kind: 'webrtc', reason: 'the default' });
    const asked = made('webrtc');
    asked.failed('webrtc', 'brought no picture', 0);
    expect(of(asked).kind).toBe('webrtc');
  });

  it('is a WebSocket where nothing else can be had, and says what all of that was', () => {
    const choice = made();
    choice.failed('webrtc', 'did not connect', 0);
    choice.failed('webtransport', 'did not connect, UDP to its port may be blocked', 0);
    expect(of(choice)).toEqual({ kind: 'websocket', reason: 'WebRTC did not connect, WebTransport did not connect, UDP to its port may be blocked; decodes H264, AV1' });
    expect(choice.choose(able, { ...node, websocket: false }, 0).kind).toBe('webrtc');
    // Breaks of the last resort speak for nothing else.
    for (let round = 0; round < 5; round += 1) choice.broke('websocket', round);
    expect(of(choice, 10).kind).toBe('websocket');
    const wished = made('webtransport');
    wished.failed('webtransport', 'did not connect', 0);
    expect(of(wished).kind).toBe('webrtc');
    wished.failed('webrtc', 'did not connect', 0);
    expect(of(wished).kind).toBe('websocket');
    expect(of(made('websocket'))).toEqual({ kind: 'websocket', reason: 'the page’s address asks for it; decodes H264, AV1' });
  });

  it('knows whether there is something to try beside WebRTC', () => {
    const other = (choice: TransportChoice): boolean => choice.hasOther(able, node, 0);
    expect([made(), made('webrtc'), made('auto', { webtransport: 'no' }), made('auto', { webtransport: 'no', websocket: 'no' })].map(other)).toEqual([true, false, true, false]);
    const failed = made();
    failed.failed('webtransport', 'x', 0);
    failed.failed('websocket', 'x', 0);
    expect(other(failed)).toBe(false);
  });

  it('takes a break for chance, and two within a minute for none', () => {
    const choice = made('webtransport');
    choice.broke('webtransport', 0);
    choice.broke('webrtc', 1);
    choice.broke('webtransport', 60_000);
    expect(of(choice, 60_000).kind).toBe('webtransport');
    choice.broke('webtransport', 119_999);
    expect(of(choice, 120_000)).toEqual({ kind: 'webrtc', reason: 'WebTransport broke 2 times within a minute' });
  });

  it('is whoever plays’ own, whatever failed before', () => {
    const choice = made();
    choice.failed('webtransport', 'did not connect', 0);
    choice.prefer('webtransport');
    expect(of(choice, 1)).toEqual({ kind: 'webtransport', reason: 'chosen here; decodes H264, AV1' });
    choice.prefer('webrtc');
    expect(of(choice, 1)).toEqual({ kind: 'webrtc', reason: 'chosen here' });
    expect(choice.isSettled(1)).toBe(true);
    // What played before is not given up for it.
    choice.failed('webrtc', 'did not connect', 1);
    expect(of(choice, 2)).toEqual({ kind: 'webtransport', reason: 'WebRTC did not connect; decodes H264, AV1' });
  });
});

describe('a transport that was measured better', () => {
  /** The choice after three stretches of play by each, which took so many milliseconds. */
  const measured = (webrtc: number, webtransport: number, wish: TransportWish = 'auto', lacks: Lacks = {}): TransportChoice => {
    const figures = unkept();
    for (const ms of [webrtc, webrtc, webrtc]) figures.add('webrtc', ms, 921_600);
    for (const ms of [webtransport, webtransport, webtransport]) figures.add('webtransport', ms, 921_600);
    return new TransportChoice(wish, lacks, figures);
  };
  const kinds = (choice: TransportChoice): readonly string[] => choice.entrants(of(choice).kind, able, node, 0).map(({ kind }) => kind);

  it('is wanted first where it is WebTransport, and the reason has the figures', () => {
    const choice = measured(21.4, 13.6);
    expect(choice.isSettled(0)).toBe(false);
    expect(of(choice)).toEqual({ kind: 'webtransport', reason: 'measured here: coded pictures are on the screen after 14 ms, by WebRTC after 21; decodes H264, AV1' });
    expect(kinds(choice)).toEqual(['webtransport', 'webrtc', 'websocket']);
    // Nobody asked for it: it is not waited for as if.
    expect(choice.entrants('webtransport', able, node, 0)[0]?.isAsked).toBe(false);
    expect(choice.limitMs('webtransport')).toBe(made().limitMs('webtransport'));
  });

  it('is the default where it is not WebTransport', () => {
    for (const choice of [measured(13.6, 21.4), measured(14, 14)]) {
      expect(choice.isSettled(0)).toBe(true);
      expect(of(choice)).toEqual({ kind: 'webrtc', reason: 'the default' });
      expect(kinds(choice)).toEqual(['webrtc', 'webtransport', 'websocket']);
    }
  });

  it('gives way to what is asked for, and to what speaks against it', () => {
    expect(of(measured(21, 14, 'webrtc'))).toEqual({ kind: 'webrtc', reason: 'the page’s address asks for it' });
    expect(of(measured(21, 14, 'websocket')).kind).toBe('websocket');
    expect(of(measured(21, 14, 'webtransport')).reason).toMatch(/^the page’s address asks for it/);
    const chosen = measured(21, 14);
    chosen.prefer('webrtc');
    expect(of(chosen)).toEqual({ kind: 'webrtc', reason: 'chosen here' });
    const high = measured(21, 14).choose(able, { ...node, hdr: true }, 0);
    expect(high).toEqual({ kind: 'webrtc', reason: 'high dynamic range is shown by a video element' });
    expect(measured(21, 14).choose(able, { ...node, webtransport: false }, 0)).toEqual({ kind: 'webrtc', reason: 'the node offers no WebTransport' });
    const lacking = measured(21, 14, 'auto', { webtransport: 'this browser has no WebTransport' });
    expect(lacking.isSettled(0)).toBe(true);
    expect(of(lacking)).toEqual({ kind: 'webrtc', reason: 'this browser has no WebTransport' });
    const failed = measured(21, 14);
    failed.failed('webtransport', 'did not connect', 0);
    expect(of(failed, 1)).toEqual({ kind: 'webrtc', reason: 'WebTransport did not connect' });
  });

  it('is so by figures that can be compared alone', () => {
    const after = (lacks: Lacks, hdr: boolean): Comparison | undefined => {
      const figures = unkept();
      const choice = new TransportChoice('auto', lacks, figures);
      for (let stretch = 0; stretch < 3; stretch += 1) {
        for (const [kind, ms] of [['webrtc', 21], ['webtransport', 14]] as const) choice.played(kind, ms, 921_600, { ...node, hdr });
      }
      return figures.better;
    };
    expect(after({}, false)).toEqual({ webrtc: 21, webtransport: 14 });
    expect(after({}, true)).toBeUndefined();
    expect(after({ webtransport: 'pictures are shown by a video element here' }, false)).toBeUndefined();
  });
});
