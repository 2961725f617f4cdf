// Which page is shown: the catalogue or a player. The address says it too (`?play=`), so that reloading,
// sharing and the browser's Back do what they should.
import { ApiProblem, type Api } from './api.ts';
import { addressFor, type Settings, type TicketLink } from './settings.ts';
import type { Catalogue, CatalogueEntry } from './wire/index.ts';
import { catalogueView } from './ui/catalogue.ts';
import { insecureNotice } from './ui/notice.ts';
import { Player } from './ui/player.ts';

export class App {
  player: Player | undefined;
  private catalogue: Promise<Catalogue>;
  private notice: HTMLElement | undefined;

  constructor(
    private readonly root: HTMLElement,
    private readonly api: Api,
    private readonly settings: Settings,
  ) {
    this.notice = insecureNotice(new URL(location.href));
    this.catalogue = this.load();
    window.addEventListener('popstate', () => {
      const play = new URL(location.href).searchParams.get('play') ?? undefined;
      if (play === undefined) this.showCatalogue();
      else this.open(play);
    });
  }

  start(): void {
    const { link } = this.settings;
    // The session knows what it plays; the page need not.
    if (link !== undefined) this.play({ ...unknownEntry(''), title: 'Session' }, link);
    else if (this.settings.play === undefined) this.showCatalogue();
    else this.open(this.settings.play);
  }

  private load(): Promise<Catalogue> {
    const loading = this.api.catalogue();
    // Whoever shows it says what went wrong.
    loading.catch(() => undefined);
    return loading;
  }

  private showCatalogue(): void {
    const returning = this.closePlayer();
    document.title = 'Nearlight';
    const view = catalogueView((entry) => {
      history.pushState(null, '', addressFor(new URL(location.href), entry.id));
      this.play(entry);
    }, this.notice);
    this.root.replaceChildren(view.element);
    if (returning) view.element.querySelector<HTMLElement>('h1')?.focus();
    const fill = (): void => {
      this.catalogue.then(
        (catalogue) => { view.show(catalogue); },
        (error: unknown) => {
          view.fail(describe(error), () => {
            this.catalogue = this.load();
            fill();
          });
        },
      );
    };
    fill();
    // What the node is made of is a footnote: without it the page says nothing.
    this.api.node().then((node) => { view.describe(node); }, () => undefined);
  }

  /** Plays the entry of this id without waiting for the catalogue, which only adds its title. */
  private open(id: string): void {
    this.catalogue.then(
      ({ entries }) => { this.play(entries.find((entry) => entry.id === id) ?? unknownEntry(id)); },
      () => { this.play(unknownEntry(id)); },
    );
  }

  private play(entry: CatalogueEntry, link?: TicketLink): void {
    this.closePlayer();
    document.title = `${entry.title} – Nearlight`;
    const player = new Player(entry, this.api, this.settings, {
      onLeave: () => {
        history.pushState(null, '', addressFor(new URL(location.href), undefined));
        this.showCatalogue();
      },
      onAgain: () => {
        // A link works once, and without the catalogue it is not known what to make anew.
        if (link === undefined) this.play(entry);
        else this.showCatalogue();
      },
      onToken: (token) => {
        this.api.setToken(token);
        this.play(entry);
      },
    }, link);
    this.player = player;
    this.root.replaceChildren(player.element);
    player.run().catch((error: unknown) => {
      // The session turns every failure into a state; what is left is a bug and belongs in the console.
      reportError(error);
    });
  }

  private closePlayer(): boolean {
    const { player } = this;
    this.player = undefined;
    player?.close();
    return player !== undefined;
  }
}

function unknownEntry(id: string): CatalogueEntry {
  return { id, title: id, summary: '', kind: 'scene', controls: [] };
}

function describe(error: unknown): string {
  if (error instanceof ApiProblem) return error.detail ?? error.title;
  return error instanceof Error ? error.message : 'Something unforeseen happened.';
}
