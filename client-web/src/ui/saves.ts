// What a player keeps of a game: a list below the game in the catalogue, and the button that saves while it is played.
import type { Save, SaveResult, Saves, SessionSaves } from '../wire/index.ts';
import { toMicros, type Micros } from '../units.ts';
import { button, h } from './dom.ts';
import { icons } from './icons.ts';
import { keep } from './keep.ts';
import { moment, saved, sentence, size } from './words.ts';

export interface SavesActions {
  readonly list: () => Promise<Saves>;
  readonly remove: (id: string) => Promise<void>;
  /** Keeps a version however many newer ones come, or no longer. */
  readonly pin: (id: string, pinned: boolean) => Promise<void>;
  /** The files of a version, as a tar archive. */
  readonly download: (id: string) => Promise<Blob>;
  /** Plays from this version, or from nothing for `none`; clicked at this time. */
  readonly play: (save: string, askedAt: Micros) => void;
}

/** The saves of one game, which are read when they are opened. */
export function savesList(title: string, does: SavesActions): HTMLElement {
  const summary = h('summary', {}, 'Saved games');
  const { parts, read } = listed(title, does, summary);
  const element = h('details', { class: 'saves' }, summary, ...parts);
  element.addEventListener('toggle', () => { if (element.open) read(); });
  return element;
}

/** The same over what is played: to play on from a save is to leave what is played for it. */
export class SavesBox {
  readonly element = h('aside', { class: 'side saves', 'aria-label': 'Saved games', hidden: true });
  private readonly read: () => void;
  private readonly heading = h('h2', { tabindex: -1 }, 'Saved games');

  constructor(title: string, does: SavesActions) {
    const { parts, read } = listed(title, does, this.heading);
    this.read = read;
    this.element.append(this.heading, h('p', {}, 'To play from one of these is to leave this game, which is saved as it ends.'), ...parts);
  }

  get isOpen(): boolean {
    return !this.element.hidden;
  }

  /** Opens or closes it; says which. */
  toggle(): boolean {
    this.element.hidden = !this.element.hidden;
    if (this.isOpen) {
      this.read();
      this.heading.focus();
    }
    return this.isOpen;
  }
}

/** What the list is made of, and what reads it anew; `home` takes the focus of what goes. */
function listed(title: string, does: SavesActions, home: HTMLElement): { readonly parts: readonly HTMLElement[]; readonly read: () => void } {
  const rows = h('ul', { 'aria-label': `Saved games of ${title}` });
  const state = h('p', { class: 'state', role: 'status' });
  const afresh = button({ label: 'Start afresh', name: `Start ${title} afresh`, onClick: ({ timeStamp }) => { does.play('none', toMicros(timeStamp)); } });
  const fail = (error: unknown): void => { state.textContent = error instanceof Error ? sentence(error.message) : 'The node did not answer.'; };
  const read = (): void => {
    does.list().then(({ saves, playing, unavailable }) => {
      state.textContent = [
        saves.length === 0 ? 'Nothing is saved yet.' : sentence(unavailable ?? ''),
        playing ? 'It is being played now, and saved when that ends.' : '',
      ].filter(Boolean).join(' ');
      const playable = unavailable == null;
      afresh.hidden = saves.length === 0 || !playable;
      rows.replaceChildren(...saves.map((save) => row(save, playable)));
    }, fail);
  };
  const row = (save: Save, playable: boolean): HTMLElement => {
    const when = save.saved_at == null ? `Save ${save.id}` : moment(save.saved_at);
    const remove = button({
      label: 'Delete',
      kind: 'quiet',
      name: `Delete the save of ${when}`,
      onClick: () => {
        does.remove(save.id).then(() => {
          // The focus does not fall out of the list with what had it.
          home.focus();
          read();
        }, fail);
      },
    });
    const damaged = save.damaged ?? undefined;
    const play = button({ label: 'Play from here', name: `Play from the save of ${when}`, onClick: ({ timeStamp }) => { does.play(save.id, toMicros(timeStamp)); } });
    const download = button({
      label: 'Download',
      kind: 'quiet',
      name: `Download the save of ${when}`,
      onClick: () => { does.download(save.id).then((archive) => { keep(archive, `${title} ${save.id}.tar`); }, fail); },
    });
    const pin = button({
      label: save.pinned ? 'Kept' : 'Keep',
      kind: 'quiet',
      name: `Keep the save of ${when}`,
      onClick: () => {
        does.pin(save.id, !save.pinned).then(() => {
          home.focus();
          read();
        }, fail);
      },
    });
    pin.setAttribute('aria-pressed', String(save.pinned));
    return h('li', { 'data-save': save.id },
      h('div', {}, h('b', {}, when), h('span', {}, damaged === undefined ? size(save.bytes ?? 0) : sentence(`damaged: ${damaged}`))),
      h('div', { class: 'row' }, ...(damaged === undefined ? [...(playable ? [play] : []), download, pin] : []), remove));
  };
  return { parts: [state, rows, h('div', { class: 'row' }, afresh)], read };
}

/** Saves the game that is played, where the node keeps it. */
export class SaveButton {
  readonly element: HTMLButtonElement;
  private news: string | undefined;

  constructor(save: () => Promise<SaveResult>, say: (text: string) => void) {
    this.element = button({
      label: 'Save',
      icon: icons.save(),
      kind: 'quiet',
      onClick: () => {
        // It loses the focus while it is disabled; where the menu's row was chosen the picture has it.
        const focused = document.activeElement === this.element;
        this.element.disabled = true;
        save().then(
          (result) => { say(saved(result)); },
          (error: unknown) => { say(error instanceof Error ? sentence(error.message) : 'It could not be saved'); },
        ).finally(() => {
          this.element.disabled = false;
          if (focused) this.element.focus();
        });
      },
    });
    this.element.hidden = true;
  }

  /** The node says what it keeps of the session: nothing where that is undefined. */
  show(saves: SessionSaves | undefined): void {
    this.element.hidden = saves === undefined;
    if (saves !== undefined) this.news ??= began(saves);
  }

  /** What the session began with, where that is worth telling; once. */
  takeNews(): string | undefined {
    const { news } = this;
    if (news !== undefined) this.news = '';
    return news === '' ? undefined : news;
  }
}

function began({ restored, refused }: SessionSaves): string | undefined {
  const [newest] = refused;
  if (newest === undefined) return restored == null ? undefined : 'You go on from what was saved';
  return `Save ${newest.id} is not used. ${sentence(newest.reason)} You ${restored == null ? 'start afresh' : `go on from save ${restored}`}`;
}
