// The first page: what can be played here.
import type { Catalogue, CatalogueEntry, NodeReport } from '../wire/index.ts';
import { toMicros, type Micros } from '../units.ts';
import { button, h } from './dom.ts';
import { icons, logo } from './icons.ts';
import { sentence } from './words.ts';

export interface CatalogueView {
  readonly element: HTMLElement;
  /** The catalogue came. */
  show(catalogue: Catalogue): void;
  /** The node was described. */
  describe(node: NodeReport): void;
  /** Says this above all entries, in place of what was said there. */
  tell(notice: HTMLElement): void;
  /** What the player keeps of games that are not on offer any more. */
  leave(saves: readonly HTMLElement[]): void;
  /** It did not come. */
  fail(message: string, onRetry: () => void): void;
}

/** So many entries are found without a search. */
const FEW = 3;

/** Whether an entry has each of these words; the node's own search says the same. */
export function isMeant({ title, genre, summary }: Pick<CatalogueEntry, 'title' | 'genre' | 'summary'>, words: string): boolean {
  const text = [title, genre ?? '', summary].join(' ').toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** Somebody wants to play this, and clicked at this time. */
type OnPlay = (entry: CatalogueEntry, askedAt: Micros) => void;
/** What a card has besides: what the player keeps of the entry, where that is kept. */
type Extra = (entry: CatalogueEntry) => HTMLElement | undefined;

export function catalogueView(onPlay: OnPlay, extra: Extra, notice: HTMLElement | undefined): CatalogueView {
  const node = h('p', { class: 'node' });
  const field = h('input', { type: 'search', class: 'search', placeholder: 'Search', 'aria-label': 'Search the library', hidden: true, maxlength: 100 });
  let all: readonly CatalogueEntry[] = [];
  const fill = (): void => {
    const words = field.value.trim();
    const meant = all.filter((entry) => isMeant(entry, words));
    const cards = meant.map((entry) => card(entry, entry === all[0], onPlay, extra));
    list.replaceChildren(...(all.length === 0 ? [empty()] : cards.length === 0 ? [nothing(words)] : cards));
  };
  field.addEventListener('input', fill);
  const list = h('div', { class: 'entries', 'aria-busy': 'true' }, ...placeholders());
  const told = h('div', { class: 'told' });
  const left = h('section', { class: 'left', 'aria-labelledby': 'left', hidden: true });
  const element = h(
    'div',
    { class: 'catalogue' },
    h('header', { class: 'site' }, h('a', { class: 'brand', href: '.', 'aria-label': 'Nearlight, start page' }, logo(), h('span', {}, 'Nearlight')), node),
    notice,
    told,
    h('main', {}, h('h1', { tabindex: -1 }, 'Play'), h('p', { class: 'lead' }, 'Rendered on the node, streamed to this browser. Nothing to install.'), field, list, left),
  );
  return {
    element,
    show({ entries }) {
      list.removeAttribute('aria-busy');
      all = entries;
      field.hidden = entries.length <= FEW;
      fill();
    },
    describe(report) {
      const chosen = report.encoders.find((encoder) => encoder.chosen);
      node.replaceChildren(
        h('span', {}, report.device),
        ...(chosen === undefined ? [] : [h('span', {}, `${chosen.codec} by ${chosen.name}`)]),
      );
    },
    tell(notice) {
      told.replaceChildren(notice);
    },
    leave(saves) {
      left.hidden = saves.length === 0;
      left.replaceChildren(h('h2', { id: 'left' }, 'Not on offer any more'), ...saves);
    },
    fail(message, onRetry) {
      list.removeAttribute('aria-busy');
      list.replaceChildren(
        h('div', { class: 'empty', role: 'alert' }, icons.alert(), h('h2', {}, 'The catalogue cannot be loaded'), h('p', {}, sentence(message)), button({ label: 'Try again', kind: 'primary', onClick: onRetry })),
      );
    },
  };
}

function card(entry: CatalogueEntry, featured: boolean, onPlay: OnPlay, extra: Extra): HTMLElement {
  const title = `entry-${entry.id}`;
  const play = button({
    label: 'Play',
    name: `Play ${entry.title}`,
    icon: icons.play(),
    kind: 'primary',
    onClick: ({ timeStamp }) => { onPlay(entry, toMicros(timeStamp)); },
  });
  const blocked = entry.unavailable ?? undefined;
  play.disabled = blocked !== undefined;
  const picture = poster(entry);
  if (blocked === undefined) {
    // A larger target for the mouse; the button is the one that everything else finds.
    picture.classList.add('clickable');
    picture.addEventListener('click', ({ timeStamp }) => { onPlay(entry, toMicros(timeStamp)); });
  }
  return h(
    'article',
    { class: featured ? 'card featured' : 'card', 'aria-labelledby': title },
    picture,
    h(
      'div',
      { class: 'text' },
      kind(entry),
      h('h2', { id: title }, entry.title),
      h('p', { class: 'summary' }, entry.summary),
      controls(entry),
      entry.licence == null ? undefined : h('p', { class: 'licence' }, entry.licence),
      blocked === undefined ? undefined : h('p', { class: 'blocked' }, icons.alert(), h('span', {}, sentence(blocked))),
      h('div', { class: 'actions' }, play),
      // What was saved can be had also while nothing can be played.
      extra(entry),
    ),
  );
}

function poster(entry: CatalogueEntry): HTMLElement {
  const frame = h('div', { class: 'poster' }, logo());
  if (entry.poster_url != null) {
    const image = h('img', { src: entry.poster_url, alt: '', width: 640, height: 360, decoding: 'async' });
    image.addEventListener('load', () => { frame.classList.add('loaded'); });
    image.addEventListener('error', () => { image.remove(); });
    frame.append(image);
  }
  return frame;
}

function controls(entry: CatalogueEntry): HTMLElement | undefined {
  if (entry.controls.length === 0) return undefined;
  return h(
    'dl',
    { class: 'controls', 'aria-label': 'Controls' },
    ...entry.controls.map(({ input, action }) => h('div', {}, h('dt', {}, h('kbd', {}, input)), h('dd', {}, action))),
  );
}

/** What it is, in a word or two. */
function kind({ kind: of, genre }: CatalogueEntry): HTMLElement | undefined {
  const text = of === 'synthetic' ? 'For measuring' : sentence(genre ?? '').replace(/\.$/, '').replaceAll('-', ' ');
  return text === '' ? undefined : h('p', { class: 'kind' }, text);
}

function nothing(words: string): HTMLElement {
  return h('div', { class: 'empty', role: 'status' }, h('h2', {}, `Nothing here is called “${words}”`), h('p', {}, 'Titles, kinds and descriptions were looked through.'));
}

function empty(): HTMLElement {
  return h('div', { class: 'empty' }, h('h2', {}, 'Nothing to play yet'), h('p', {}, 'This node’s catalogue is empty. Its operator can add games and scenes in the configuration.'));
}

function placeholders(): readonly HTMLElement[] {
  return [h('div', { class: 'card featured placeholder', 'aria-hidden': 'true' }, h('div', { class: 'poster' }), h('div', { class: 'text' }))];
}
