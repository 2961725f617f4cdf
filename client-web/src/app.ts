// Which page is shown: the catalogue or a player. The address says it too (`?play=`), so that reloading,
// sharing and the browser's Back do what they should.
import { ApiProblem, type Api } from './api.ts';
import { knownPads, readGamepads } from './input/gamepad.ts';
import { TransportChoice } from './session/choice.ts';
import { takeUp } from './session/kept.ts';
import { Measured } from './session/measured.ts';
import type { Seat } from './session/play.ts';
import { isFinal } from './session/state.ts';
import { whoPlays } from './session/who.ts';
import { addressFor, readFragment, type Link, type Settings, type TicketLink } from './settings.ts';
import { Acknowledger } from './rented/acknowledger.ts';
import type { LeaseTicket } from './rented/lease-link.ts';
import type { Bearer, Catalogue, CatalogueEntry, Saves } from './wire/index.ts';
import { isRecord } from './wire/control.ts';
import { catalogueView, type CatalogueView } from './ui/catalogue.ts';
import { h } from './ui/dom.ts';
import { insecureNotice } from './ui/notice.ts';
import { PadMenu } from './ui/pad-menu.ts';
import { Player } from './ui/player.ts';
import { savesList, type SavesActions } from './ui/saves.ts';
import { clientNow, type Micros } from './units.ts';
import { lacksOf } from './video/view.ts';

/** In `history.state`: the page before this one is the catalogue that it was chosen from. */
const CHOSEN = { chosen: true } as const;

/** What is played besides an entry. */
interface Choice {
  readonly link?: Link;
  readonly left?: TicketLink | undefined;
  /** The save to play from; without it the newest. */
  readonly save?: string | undefined;
}

export class App {
  player: Player | undefined;
  /** Asked for when it is needed: a page that plays asks for its session first. */
  private catalogue: Promise<Catalogue> | undefined;
  /** The newest one that came. */
  private known: Catalogue | undefined;
  private notice: HTMLElement | undefined;
  /** The node said that it is rented. */
  private rented = false;
  /** Of the machine's order, where somebody proved that he may use it. */
  private bearer: Bearer | undefined;
  /** One for all sessions of this page: what failed once fails again. */
  private readonly transports: TransportChoice;
  private readonly pads: PadMenu;

  constructor(
    private readonly root: HTMLElement,
    private readonly api: Api,
    private readonly settings: Settings,
  ) {
    this.transports = new TransportChoice(settings.transport, lacksOf(settings), new Measured(settings.api, () => localStorage, () => Date.now()));
    this.notice = insecureNotice(new URL(location.href));
    this.pads = new PadMenu({
      read: () => knownPads(readGamepads()),
      scope: () => (this.player === undefined ? this.root : this.player.padScope),
      onUse: () => { this.player?.speaker.unblock(); },
      onOpen: () => { this.player?.togglePadMenu(); },
      onBack: () => { this.player?.leavePadMenu(); },
    });
    window.addEventListener('popstate', () => {
      // A link that is opened in this tab comes here too, and is no step in the history.
      if (location.hash === '') this.show(playIn(location.href));
      else this.takeFragment();
    });
    window.addEventListener('hashchange', () => { this.takeFragment(); });
  }

  start(): void {
    const { lease, link, play } = this.settings;
    // A page that the browser kept as it was when it went plays on like one that is loaded again.
    window.addEventListener('pageshow', ({ persisted }) => { if (persisted && this.player !== undefined) location.reload(); });
    const left = takeUp(play ?? '');
    if (lease !== undefined) this.prove(lease);
    else if (link !== undefined) this.follow(link);
    else if (play !== undefined) this.open(play, clientNow(), left !== undefined && 'ticket' in left ? left : undefined);
    else if (left !== undefined) this.follow(left);
    else this.showCatalogue();
  }

  /** Takes the token or the link that was just put into the address, and hides it. */
  private takeFragment(): void {
    if (location.hash === '') return;
    const { lease, token, link } = readFragment(new URL(location.href));
    hideFragment();
    if (lease !== undefined) this.prove(lease);
    if (token !== undefined) this.api.setToken(token);
    if (link !== undefined) this.follow(link);
    // What plays goes on; what was refused may do better now.
    else if (token !== undefined && (this.player === undefined || isFinal(this.player.session.state))) {
      this.show(playIn(location.href));
    }
  }

  private load(): Promise<Catalogue> {
    const loading = this.api.catalogue();
    // Whoever shows it says what went wrong.
    loading.then((catalogue) => { this.known = catalogue; }, () => undefined);
    this.catalogue = loading;
    return loading;
  }

  private show(play: string | undefined): void {
    if (play === undefined) this.showCatalogue();
    else this.open(play, clientNow());
  }

  private showCatalogue(): void {
    // What was on offer before somebody played may be so no more.
    const returning = this.closePlayer();
    let catalogue = (returning ? undefined : this.catalogue) ?? this.load();
    document.title = 'Nearlight';
    const choose = (entry: CatalogueEntry, askedAt: Micros, save?: string): void => {
      history.pushState(CHOSEN, '', addressFor(new URL(location.href), entry.id));
      // Nobody is refused who can be asked first.
      if (this.rented && this.bearer === undefined) this.prove();
      else this.play(entry, askedAt, { save });
    };
    const view = catalogueView(choose, (entry) => this.savesOf(entry, choose), this.notice);
    this.root.replaceChildren(view.element);
    if (returning) view.element.querySelector<HTMLElement>('h1')?.focus();
    let shown = this.known;
    if (shown !== undefined) view.show(shown);
    const fill = (): void => {
      catalogue.then(
        (catalogue) => {
          // Cards that stay as they are keep the focus.
          if (JSON.stringify(catalogue) !== JSON.stringify(shown)) view.show(catalogue);
          shown = catalogue;
        },
        (error: unknown) => {
          if (shown !== undefined) return;
          view.fail(describe(error), () => {
            catalogue = this.load();
            fill();
          });
        },
      );
    };
    fill();
    // What the node is made of is a footnote: without it the page says nothing.
    this.api.node().then(async (node) => {
      view.describe(node);
      this.rented = node.rented;
      if (node.rented) await this.tellRent(view);
      else if (node.open) await this.showLeft(view, await catalogue);
    }).catch(() => undefined);
  }

  /** Says what a rented machine costs and how one gets in. */
  private async tellRent(view: CatalogueView): Promise<void> {
    const [lease, { rentNotice }] = await Promise.all([this.api.lease(), import('./rented/notice.ts')]);
    view.tell(rentNotice(lease, this.bearer, () => { this.prove(); }));
  }

  /** What the player of this browser keeps of an entry, to play on from. */
  private savesOf(entry: CatalogueEntry, play: (entry: CatalogueEntry, askedAt: Micros, save: string) => void): HTMLElement | undefined {
    const who = entry.saves ? whoPlays() : undefined;
    if (who === undefined) return undefined;
    return savesList(entry.title, this.savesFor(entry, who, (save, askedAt) => { play(entry, askedAt, save); }));
  }

  /** What the player of this browser keeps of games that the catalogue has not any more, or that keep nothing any more. */
  private async showLeft(view: CatalogueView, { entries }: Catalogue): Promise<void> {
    const who = whoPlays();
    if (who === undefined) return;
    const games = await this.api.savedGames(who);
    const left = games.filter(({ app }) => !entries.some(({ id, saves }) => id === app && saves));
    // Until it is back there is nothing to play from them.
    const nowhere = (): void => undefined;
    view.leave(left.map(({ app, title }) => {
      const actions = this.savesFor({ id: app }, who, nowhere);
      // With the last of them the node forgets that there was such a game.
      const list = (): Promise<Saves> => actions.list().catch((error: unknown) => {
        if (error instanceof ApiProblem && error.reason === 'unknown-app') return { saves: [], playing: false };
        throw error;
      });
      return h('article', { class: 'gone', 'aria-label': title }, h('h3', {}, title), savesList(title, { ...actions, list }));
    }));
  }

  private savesFor({ id: app }: Pick<CatalogueEntry, 'id'>, who: string, play: SavesActions['play']): SavesActions {
    return {
      list: () => this.api.saves(app, who),
      remove: (id) => this.api.deleteSave(app, who, id),
      pin: (id, pinned) => this.api.pinSave(app, who, id, pinned),
      download: (id) => this.api.downloadSave(app, who, id),
      play,
    };
  }

  /** Plays the entry of this id without waiting for the catalogue, which only adds its title. */
  private open(id: string, askedAt: Micros, left?: TicketLink): void {
    const find = (catalogue: Catalogue | undefined): CatalogueEntry | undefined => catalogue?.entries.find((entry) => entry.id === id);
    const player = this.play(find(this.known) ?? unknownEntry(id), askedAt, { left });
    (this.catalogue ?? this.load()).then(
      (catalogue) => {
        const entry = find(catalogue);
        // Another page may be shown by now.
        if (entry === undefined || this.player !== player) return;
        document.title = titleOf(entry);
        player.describe(entry);
      },
      () => undefined,
    );
  }

  /** Takes over a session that somebody handed on. It knows what it plays; the page need not. */
  private follow(link: Link, askedAt = clientNow()): void {
    this.play({ ...unknownEntry(''), title: 'Session' }, askedAt, { link });
  }

  /** Asks who rents the machine, or takes a renter's ticket; then on to what was wanted. */
  private prove(ticket?: LeaseTicket): void {
    const wanted = playIn(location.href);
    this.closePlayer();
    document.title = 'Nearlight';
    const enter = (bearer: Bearer): void => {
      this.bearer = bearer;
      this.api.setToken(bearer.token);
    };
    // Wallets are for few: what knows them comes when it is wanted.
    import('./rented/door.ts').then(({ Door }) => {
      const door = new Door({
        lease: () => this.api.lease(),
        challenge: (order, account) => this.api.challenge(order, account),
        prove: (challenge, signature) => this.api.prove(challenge, signature),
        redeem: (given) => this.api.redeemLease(given),
        sessions: (bearer) => {
          enter(bearer);
          return this.api.leasedSessions();
        },
        onIn: (bearer) => {
          enter(bearer);
          this.show(wanted);
        },
        onEnter: (bearer, { id }) => {
          enter(bearer);
          this.follow({ leased: id });
        },
        onBack: () => {
          history.replaceState(null, '', addressFor(new URL(location.href), undefined));
          this.showCatalogue();
        },
      });
      this.root.replaceChildren(door.element);
      return ticket === undefined ? door.ask() : door.take(ticket);
    }).catch((error: unknown) => { reportError(error); });
  }

  private play(entry: CatalogueEntry, askedAt: Micros, { link, left, save }: Choice = {}): Player {
    this.closePlayer();
    document.title = titleOf(entry);
    let leaves = false;
    const seat = link === undefined ? seatOf(save) : {};
    const saves = seat.player === undefined
      ? undefined
      : this.savesFor(entry, seat.player, (from, at) => { this.play(this.known?.entries.find(({ id }) => id === entry.id) ?? entry, at, { save: from }); });
    // A session that an earlier page began may have left its key here.
    const begun = left !== undefined || (link !== undefined && 'ticket' in link);
    const receipts = this.bearer === undefined && !begun ? undefined : new Acknowledger(this.api, this.bearer?.role === 'renter');
    const player = new Player({ entry, link, left, askedAt, seat, saves, receipts }, this.api, this.settings, this.transports, {
      onLeave: () => {
        // Going back takes a moment, in which it must not be done twice.
        if (!leaves) this.leave();
        leaves = true;
      },
      onAgain: (at) => {
        if (link === undefined) this.open(entry.id, at);
        else this.follow(link, at);
      },
      onToken: (token, at) => {
        this.api.setToken(token);
        this.open(entry.id, at);
      },
      onProve: () => { this.prove(); },
      onPadsFree: () => { this.pads.waitForRest(); },
    });
    this.player = player;
    this.root.replaceChildren(player.element);
    player.run().then(() => receipts?.end().catch(() => undefined)).catch((error: unknown) => {
      // The session turns every failure into a state; what is left is a bug and belongs in the console.
      reportError(error);
    });
    return player;
  }

  /** Back to the catalogue, such that the browser's Back does not lead to a new session. */
  private leave(): void {
    const state: unknown = history.state;
    if (isRecord(state) && state['chosen'] === true) {
      history.back();
    } else {
      history.replaceState(null, '', addressFor(new URL(location.href), undefined));
      this.showCatalogue();
    }
  }

  private closePlayer(): boolean {
    const { player } = this;
    this.player = undefined;
    player?.close();
    return player !== undefined;
  }
}

/** Tokens and tickets must not stay in the address bar, in the history, or in a screenshot of either. */
export function hideFragment(): void {
  if (location.hash !== '') history.replaceState(history.state, '', addressFor(new URL(location.href), playIn(location.href)));
}

function playIn(address: string): string | undefined {
  return new URL(address).searchParams.get('play') ?? undefined;
}

function titleOf({ title }: CatalogueEntry): string {
  return `${title} – Nearlight`;
}

/** Who plays here, from this save or from the newest. */
function seatOf(save: string | undefined): Seat {
  const who = whoPlays();
  if (who === undefined) return {};
  return save === undefined ? { player: who } : { player: who, save };
}

/** It may be a game, which may have more than two channels of sound. */
function unknownEntry(id: string): CatalogueEntry {
  return { id, title: id, summary: '', kind: 'game', keyboard: 'places', controls: [], saves: false, microphone: false };
}

function describe(error: unknown): string {
  if (error instanceof ApiProblem) return error.detail ?? error.title;
  return error instanceof Error ? error.message : 'Something unforeseen happened.';
}
