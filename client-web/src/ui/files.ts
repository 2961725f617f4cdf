// Files that go between the player's own machine and the game: a box that lists those in the session's folder, and
// takes what is dropped on the picture.
import type { FileRules, SessionFile, SessionFiles } from '../wire/index.ts';
import { button, h } from './dom.ts';
import { keep } from './keep.ts';
import { sentence, size } from './words.ts';

export interface FilesActions {
  readonly list: () => Promise<SessionFiles>;
  /** `onProgress` is told the part that has gone, from 0 to 1. */
  readonly upload: (file: File, onProgress: (part: number) => void, signal: AbortSignal) => Promise<void>;
  readonly download: (name: string) => Promise<Blob>;
  readonly remove: (name: string) => Promise<void>;
  /** Something was dropped: the box is to open. */
  readonly onOpen: () => void;
}

/** How often the list is read while the box is open: the game makes files, too. */
const READ_MS = 2_000;

export class FilesBox {
  readonly element = h('aside', { class: 'side files', 'aria-label': 'Files', hidden: true });
  private rules: FileRules | undefined;
  private readonly where = h('p', { class: 'where' });
  private readonly pick = h('input', { type: 'file', multiple: true, class: 'pick', 'aria-label': 'Files to bring', tabindex: -1 });
  private readonly bring = button({ label: 'Bring files', kind: 'primary', onClick: () => { this.pick.click(); } });
  private readonly coming = h('ul', { 'aria-label': 'Files that are being brought' });
  private readonly rows = h('ul', { 'aria-label': 'Files of the session' });
  private readonly failure = h('p', { class: 'failure', role: 'alert' });
  private readonly abort = new AbortController();
  private timer: ReturnType<typeof setInterval> | undefined;
  /** One after the other: the node takes only some at once. */
  private queue: Promise<void> = Promise.resolve();

  constructor(private readonly does: FilesActions) {
    this.pick.addEventListener('change', () => {
      this.take([...(this.pick.files ?? [])]);
      this.pick.value = '';
    });
    this.element.append(h('h2', {}, 'Files'), this.where, h('div', { class: 'row' }, this.bring, this.pick), this.failure, this.coming, this.rows);
  }

  /** What the session shares. */
  allow(rules: FileRules | undefined): void {
    this.rules = rules;
    if (rules === undefined) return;
    this.bring.hidden = !rules.upload;
    const may = rules.upload ? `Drop files on the picture, or bring them here: up to ${size(rules.file_bytes)} each.` : '';
    this.where.textContent = `The game finds them in the folder “${rules.folder}” of its home. ${may}`;
  }

  /** Takes what is dropped on this. */
  listen(place: HTMLElement): void {
    const { signal } = this.abort;
    const mark = (on: boolean): void => { place.classList.toggle('dropping', on); };
    place.addEventListener('dragover', (event) => {
      if (event.dataTransfer?.types.includes('Files') !== true) return;
      // Else the browser leaves the page for the file.
      event.preventDefault();
      const may = this.rules?.upload === true;
      event.dataTransfer.dropEffect = may ? 'copy' : 'none';
      mark(may);
    }, { signal });
    place.addEventListener('dragleave', () => { mark(false); }, { signal });
    place.addEventListener('drop', (event) => {
      if (event.dataTransfer?.types.includes('Files') !== true) return;
      event.preventDefault();
      mark(false);
      if (this.rules?.upload !== true) return;
      const files = [...event.dataTransfer.files];
      if (this.element.hidden) this.does.onOpen();
      this.take(files);
    }, { signal });
  }

  get isOpen(): boolean {
    return !this.element.hidden;
  }

  /** Opens or closes it; says which. */
  toggle(): boolean {
    this.element.hidden = !this.element.hidden;
    clearInterval(this.timer);
    if (this.isOpen) {
      this.read();
      this.timer = setInterval(() => { this.read(); }, READ_MS);
      this.bring.focus();
    }
    return !this.element.hidden;
  }

  close(): void {
    clearInterval(this.timer);
    this.abort.abort();
  }

  private take(files: readonly File[]): void {
    for (const file of files) {
      const row = this.comingRow(file);
      this.queue = this.queue.then(() => this.upload(file, row));
    }
  }

  private comingRow({ name }: File): { readonly row: HTMLElement; readonly state: HTMLElement; readonly bar: HTMLProgressElement; readonly stop: AbortController } {
    const stop = new AbortController();
    const state = h('span', {}, 'waits');
    const bar = h('progress', { max: 1, value: 0, 'aria-label': `How much of ${name} is there` });
    const row = h('li', {});
    const end = button({
      label: 'Stop',
      name: `Stop ${name}`,
      onClick: () => {
        stop.abort();
        row.remove();
      },
    });
    row.append(h('div', {}, h('b', {}, name), state), h('div', { class: 'row' }, bar, end));
    this.coming.append(row);
    return { row, state, bar, stop };
  }

  private async upload(file: File, { row, state, bar, stop }: ReturnType<FilesBox['comingRow']>): Promise<void> {
    const signal = AbortSignal.any([stop.signal, this.abort.signal]);
    const isStopped = (): boolean => signal.aborted;
    if (isStopped()) return;
    state.textContent = 'is being brought';
    try {
      const most = this.rules?.file_bytes ?? 0;
      if (file.size > most) throw new Error(`it has more than ${size(most)}`);
      await this.does.upload(file, (part) => { bar.value = part; }, signal);
      row.remove();
    } catch (error) {
      if (isStopped()) return;
      // It stays until it is taken away.
      bar.hidden = true;
      state.textContent = sentence(error instanceof Error ? error.message : 'the node did not answer');
      state.setAttribute('role', 'alert');
    }
    this.read();
  }

  private read(): void {
    if (this.element.hidden) return;
    this.does.list().then(
      ({ files }) => {
        this.failure.textContent = '';
        this.show(files);
      },
      (error: unknown) => { this.fail(error); },
    );
  }

  private show(files: readonly SessionFile[]): void {
    const rows = files.map((file) => this.row(file));
    // What did not change keeps the focus.
    const same = rows.length === this.rows.children.length && rows.every((row, at) => row.isEqualNode(this.rows.children.item(at)));
    if (!same) this.rows.replaceChildren(...rows);
  }

  private row({ name, bytes, changed_at: changed }: SessionFile): HTMLElement {
    const download = button({ label: 'Download', name: `Download ${name}`, onClick: () => { this.save(name); } });
    const remove = button({
      label: 'Delete',
      kind: 'quiet',
      name: `Delete ${name}`,
      onClick: () => {
        this.does.remove(name).then(() => {
          this.bring.focus();
          this.read();
        }, (error: unknown) => { this.fail(error); });
      },
    });
    return h('li', { 'data-changed': changed },
      h('div', {}, h('b', {}, name), h('span', {}, size(bytes))),
      h('div', { class: 'row' }, this.rules?.download === true ? download : undefined, this.rules?.upload === true ? remove : undefined));
  }

  private save(name: string): void {
    this.does.download(name).then(
      (blob) => { keep(blob, name); },
      (error: unknown) => { this.fail(error); },
    );
  }

  private fail(error: unknown): void {
    this.failure.textContent = sentence(error instanceof Error ? error.message : 'the node did not answer');
  }
}
