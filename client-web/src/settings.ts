// What the page's address says. Token and ticket stand in the fragment, which no server and no log sees,
// and are taken out of the address bar at once.
import { readTicket, type LeaseTicket } from './rented/lease-link.ts';
import type { TransportWish } from './session/choice.ts';
import type { VideoWish } from './wire/index.ts';

/** A session that somebody else made and handed over by a link. */
export interface TicketLink {
  readonly session: string;
  /** Works once. */
  readonly ticket: string;
}

/** An invitation to a session that somebody else plays. */
export interface JoinLink {
  readonly invitation: string;
}

/** Somebody's place among those who watch a session, or play along. */
export interface PlaceLink {
  /** Its address. */
  readonly place: string;
  /** Opens that, and nothing else. */
  readonly token: string;
}

/** A session of the order that a bearer is of, which runs already. */
export interface LeasedLink {
  readonly leased: string;
}

/** What a link leads to; a place is only ever left by the page before, a leased session chosen at the door. */
export type Link = TicketLink | JoinLink | PlaceLink | LeasedLink;

/** Which dynamic range sessions are asked for: `display` is high where the display has that. */
export type RangeWish = 'standard' | 'display' | 'high';

export interface Settings {
  /** Where the API is. A page may come from another origin than its node. */
  readonly api: URL;
  /** Operator's token, kept in memory only. */
  readonly token: string | undefined;
  /** A session to take over, or to join, at once. */
  readonly link: Link | undefined;
  /** What a renter of the machine handed out. */
  readonly lease: LeaseTicket | undefined;
  /** Entry to start at once. */
  readonly play: string | undefined;
  /** All but the range. */
  readonly video: VideoWish;
  readonly range: RangeWish;
  /** Asks for the machine-readable strip in the picture. */
  readonly barcode: boolean;
  /** Which transport to take. */
  readonly transport: TransportWish;
  /** Uses a video element even where frames can be had one by one. */
  readonly forceVideoElement: boolean;
  /** Lets the browser play sound that comes by WebRTC, even where the page could. */
  readonly forceAudioElement: boolean;
  /** Plays sound as if the device had so many channels: for tests. */
  readonly channels: number | undefined;
  /** Takes no silence for a path that is gone: for tests of anything else, whose machine may stand still. */
  readonly patient: boolean;
}

/** Address parameters that are whole numbers, and the wish each one is. */
const WISHES = { width: 'width', height: 'height', fps: 'fps', kbps: 'max_kbps' } as const;

const TRANSPORTS: readonly TransportWish[] = ['webrtc', 'webtransport', 'websocket', 'auto'];
/** What `channels` may say. */
const CHANNELS: readonly (string | null)[] = ['2', '6', '8'];
/** What `hdr` may say in the address. `force` is for displays whose range the browser does not know, and for tests. */
const RANGES: ReadonlyMap<string | null, RangeWish> = new Map([['1', 'display'], ['force', 'high']]);

/**
 * Reads the settings. `api` is the content of `<meta name="nearlight-api">`; empty means the page's own
 * folder.
 */
export function readSettings(address: URL, api: string): Settings {
  const query = address.searchParams;
  const video: VideoWish = {};
  for (const [name, wish] of Object.entries(WISHES)) {
    const text = query.get(name);
    if (text !== null && /^[1-9]\d{0,6}$/.test(text)) video[wish] = Number(text);
  }
  return {
    api: new URL(api === '' ? '.' : api, address),
    ...readFragment(address),
    play: query.get('play') ?? undefined,
    video,
    range: RANGES.get(query.get('hdr')) ?? 'standard',
    barcode: query.get('barcode') === '1',
    transport: TRANSPORTS.find((kind) => kind === query.get('transport')) ?? 'auto',
    forceVideoElement: query.get('presenter') === 'video',
    forceAudioElement: query.get('sound') === 'track',
    patient: query.get('patient') === '1',
    channels: CHANNELS.find((channels) => channels === query.get('channels')) === undefined ? undefined : Number(query.get('channels')),
  };
}

/** What to ask for where the display has high range or not: it would show the other one dull. */
export function videoFor({ video, range }: Pick<Settings, 'video' | 'range'>, displayIsHigh: boolean): VideoWish {
  return range === 'high' || (range === 'display' && displayIsHigh) ? { ...video, hdr: true } : video;
}

/** What the fragment says; links that are opened in a tab with this page change nothing else. */
export function readFragment(address: URL): Pick<Settings, 'token' | 'link' | 'lease'> {
  const fragment = new URLSearchParams(address.hash.slice(1));
  const [token, session, ticket, invitation] = ['token', 'session', 'ticket', 'join'].map((name) => fragment.get(name) ?? '') as [string, string, string, string];
  const taken = session === '' || ticket === '' ? undefined : { session, ticket };
  return {
    token: token === '' ? undefined : token,
    link: invitation === '' ? taken : { invitation },
    lease: readTicket(fragment.get('lease') ?? ''),
  };
}

/** The address without its fragment, and with or without an entry to play. */
export function addressFor(address: URL, play: string | undefined): string {
  const next = new URL(address);
  next.hash = '';
  if (play === undefined) next.searchParams.delete('play');
  else next.searchParams.set('play', play);
  return next.href;
}
