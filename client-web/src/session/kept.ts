// What a page leaves to the page after it in the same tab, so that loading it again takes the session up. It lies in
// the tab's own storage from when the page goes until the next one is there, and no longer: a tab that is duplicated
// meanwhile plays has no part in it. The ticket works once.
import type { TicketLink } from '../settings.ts';
import { isRecord } from '../wire/control.ts';

const KEY = 'nearlight-session';

/** Leaves a session of this entry behind; '' where its entry is not known. */
export function leaveBehind(play: string, { session, ticket }: TicketLink): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ play, session, ticket }));
  } catch {
    // A page without storage begins anew.
  }
}

/** Takes the session of this entry that the page before left, if it left one. */
export function takeUp(play: string): TicketLink | undefined {
  let left: unknown;
  try {
    left = JSON.parse(sessionStorage.getItem(KEY) ?? 'null');
    sessionStorage.removeItem(KEY);
  } catch {
    return undefined;
  }
  if (!isRecord(left) || left['play'] !== play) return undefined;
  const { session, ticket } = left;
  return typeof session === 'string' && typeof ticket === 'string' ? { session, ticket } : undefined;
}
