// What a page leaves to the page after it in the same tab, so that loading it again takes the session up. It lies in
// the tab's own storage from when the page goes until the next one is there, and no longer: a tab that is duplicated
// meanwhile plays has no part in it. A player's ticket works once; what viewers leave opens their own place alone.
import type { PlaceLink, TicketLink } from '../settings.ts';
import type { Session } from '../wire/index.ts';
import { isRecord } from '../wire/control.ts';

const KEY = 'nearlight-session';

export type Left = TicketLink | PlaceLink;

/** By what the next page finds this session; undefined where it cannot. */
export function wayBack({ id, resume_ticket: ticket, role, url, token }: Session): Left | undefined {
  if (ticket != null) return { session: id, ticket };
  const watches = role === 'spectator' || role === 'co_player';
  return watches && token != null ? { place: url, token } : undefined;
}

/** Leaves a session of this entry behind; '' where its entry is not known. */
export function leaveBehind(play: string, left: Left): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ play, ...left }));
  } catch {
    // A page without storage begins anew.
  }
}

/** Takes the session of this entry that the page before left, if it left one. */
export function takeUp(play: string): Left | undefined {
  let left: unknown;
  try {
    left = JSON.parse(sessionStorage.getItem(KEY) ?? 'null');
    sessionStorage.removeItem(KEY);
  } catch {
    return undefined;
  }
  if (!isRecord(left) || left['play'] !== play) return undefined;
  const { session, ticket, place, token } = left;
  if (typeof session === 'string' && typeof ticket === 'string') return { session, ticket };
  return typeof place === 'string' && typeof token === 'string' ? { place, token } : undefined;
}
