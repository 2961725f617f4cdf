// What the page says about states, in one place.
import type { ConnectingStep, EndedReason, EndedState, PlayState, RefusedReason } from '../session/state.ts';
import type { Role, SaveResult, StartStep, Viewers } from '../wire/index.ts';

export const STEPS: Readonly<Record<ConnectingStep, string>> = {
  session: 'Asking for a session',
  connection: 'Connecting',
  picture: 'Waiting for the first picture',
};

/** What the node does while a game starts, in order. */
export const STARTS: Readonly<Record<StartStep, string>> = {
  sandbox: 'Sandbox',
  display: 'Display and sound',
  game: 'Game',
  picture: 'First picture',
};

/** Tab and, in full screen, Escape go to the session: this is the keyboard's way out, so it is on show. */
export const MENU_KEYS = 'Ctrl+Alt+Shift+M';

/** What to do with a mouse that nothing captured. */
export function withMouse(isFree: boolean): string {
  return isFree ? 'The mouse is free' : 'Click the picture to look around';
}

export interface Beginning {
  /** A click does not capture the mouse. */
  readonly isFree: boolean;
  /** Fingers are as they are. */
  readonly isDirect: boolean;
  /** There is a gamepad, too. Its home button opens the menu as well, but many systems keep that one. */
  readonly hasPad: boolean;
}

/** How to begin with what there is. */
export function howToBegin(has: 'mouse' | 'fingers', { isFree, isDirect, hasPad }: Beginning): string {
  if (has === 'fingers' && hasPad) return 'Select and Start, held down, open the menu';
  if (has === 'fingers') return isDirect ? 'Touch what you would click' : 'Left thumb moves, right thumb looks, tap to click';
  const menu = hasPad ? `${MENU_KEYS}, or Select and Start held down, opens the menu` : `${MENU_KEYS} opens the menu`;
  return isFree ? menu : `${withMouse(false)}. ${menu}`;
}

export const REFUSED: Readonly<Record<RefusedReason, { readonly title: string; readonly advice: string }>> = {
  refused: { title: 'No room right now', advice: 'There is room again when somebody leaves.' },
  unplayable: { title: 'This cannot be played here now', advice: 'Whoever runs the node can change that.' },
  unauthorized: { title: 'This node asks for a token', advice: 'Its operator can give you one. It stays in this tab and is not stored.' },
  rented: { title: 'This machine is rented', advice: 'Whoever rents it plays here, and may hand out tickets.' },
  'link-used': { title: 'This link does not work any more', advice: 'A link opens its session once, soon after it was made. Ask for a new one, or play from the catalogue.' },
  invitation: { title: 'This invitation does not let you in', advice: 'Ask whoever sent it for a new one.' },
  'unknown-app': { title: 'This is not on offer any more', advice: 'The catalogue changed since this page was loaded.' },
  'foreign-origin': { title: 'This page may not use the node', advice: 'The node’s operator has to allow this site by name.' },
  'no-codec': { title: 'No common video format', advice: 'This browser cannot play any format that the node sends. Most need H.264.' },
  unreachable: { title: 'The node does not answer', advice: 'Check that it is running and that you are online.' },
  'no-media': { title: 'No picture came through', advice: 'The node answered, but its video did not arrive. A firewall may be blocking UDP between you and it.' },
  failed: { title: 'The session could not start', advice: 'Try again. If it happens once more, the node’s log says why.' },
};

const ENDED: Readonly<Record<EndedReason, { readonly title: string; readonly advice: string }>> = {
  left: { title: 'You left the session', advice: '' },
  'by-node': { title: 'The session has ended', advice: '' },
  lost: { title: 'The connection was lost', advice: 'It could not be restored in time, so the session is over.' },
  presenter: { title: 'This browser stopped showing the picture', advice: 'Playing again usually helps.' },
};

/** How a session came to its end, at a glance. */
export type EndMark = 'done' | 'exited' | 'crashed' | 'failed';

/** What is said of a session that ended at the node in one of these ways, by the node's code; of all others `by-node` has the words. */
const ENDS: Readonly<Record<string, { readonly title: string; readonly mark: EndMark }>> = {
  game_exited: { title: 'The game ended by itself', mark: 'exited' },
  game_crashed: { title: 'The game crashed', mark: 'crashed' },
  source_failed: { title: 'The session failed', mark: 'failed' },
  encoder_failed: { title: 'The session failed', mark: 'failed' },
  internal_fault: { title: 'The session failed', mark: 'failed' },
  device_lost: { title: 'The session failed', mark: 'failed' },
  start_failed: { title: 'The session could not start', mark: 'failed' },
  start_timeout: { title: 'The session could not start', mark: 'failed' },
};

/** The title and the mark of a session that is over. */
export function ending({ reason, code }: Pick<EndedState, 'reason' | 'code'>): { readonly title: string; readonly advice: string; readonly mark: EndMark } {
  const { title, advice } = ENDED[reason];
  if (reason !== 'by-node') return { title, advice, mark: 'failed' };
  return { title, advice, mark: 'done', ...(code === undefined ? undefined : ENDS[code]) };
}

/** What roles are called, and what they may do. */
export const ROLES: Readonly<Record<Role, { readonly title: string; readonly may: string }>> = {
  player: { title: 'Player', may: 'plays' },
  co_player: { title: 'Co-player', may: 'plays along' },
  spectator: { title: 'Spectator', may: 'watches' },
};

/** How many are there beside the player; empty where nobody is. */
export function company({ co_players: helpers, spectators }: Viewers): string {
  const parts = [
    helpers === 0 ? undefined : `${helpers} playing along`,
    spectators === 0 ? undefined : `${spectators} watching`,
  ];
  return parts.filter((part) => part !== undefined).join(', ');
}

/** What a screen reader says when the state changes. */
export function announcement(state: PlayState, title: string): string {
  switch (state.name) {
    case 'idle':
      return '';
    case 'connecting':
      // Once, not for each of the steps, which pass within a second.
      return state.step === 'session' ? `Starting ${title}` : '';
    case 'live':
      return `Playing ${title}`;
    case 'reconnecting':
      return state.attempt === 1 ? 'Connection interrupted. Reconnecting' : '';
    case 'refused':
      return [REFUSED[state.reason].title, state.detail].filter(Boolean).join('. ');
    case 'ended':
      return [ending(state).title, state.detail].filter(Boolean).join('. ');
  }
}

/** `3 min 20 s` from milliseconds. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(Math.round(milliseconds / 1000), 0);
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3_600)];
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  if (hours >= 1) return `${hours} h ${minutes % 60} min`;
  return minutes < 1 ? `${seconds} s` : `${minutes} min ${seconds % 60} s`;
}

/** When something was, from milliseconds since 1970, as people here write it. */
export function moment(at: number): string {
  return new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}

/** `12 kB` from bytes. */
export function size(bytes: number): string {
  if (bytes < 1_000) return `${bytes} bytes`;
  return bytes < 1_000_000 ? `${Math.round(bytes / 1_000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** What came of saving. */
export function saved({ save, made }: SaveResult): string {
  if (made) return 'Saved';
  return save == null ? 'There is nothing to save yet' : 'Everything is saved already';
}

/** Reasons come as clauses; on the page they are sentences. */
export function sentence(text: string): string {
  if (text === '') return '';
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}
