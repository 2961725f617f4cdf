// The order that a session is of: time that is left and what was metered, in the bar; its receipts, in a box.
import { inDbc, planck } from '../rented/amount.ts';
import type { LeaseStatus, Receipts } from '../wire/index.ts';
import { button, h } from './dom.ts';
import { keep } from './keep.ts';
import { duration, sentence } from './words.ts';

export interface LeaseActions {
  /** All of the order; rejects for guests. */
  readonly list: () => Promise<readonly Receipts[]>;
  readonly download: (receipts: string, format: 'json' | 'csv') => Promise<Blob>;
  /** How many slices this browser has signed; undefined where it has no key. */
  readonly signed: () => number | undefined;
}

export class LeaseView {
  /** In the bar. */
  readonly badge = h('span', { class: 'lease', hidden: true });
  /** At the side. */
  readonly element = h('aside', { class: 'side lease-box', 'aria-label': 'Lease', hidden: true });
  private readonly heading = h('h2', { tabindex: -1 }, 'Lease');
  private readonly facts = h('dl', { class: 'lease-facts' });
  private readonly rows = h('ul', { 'aria-label': 'Receipts' });
  private readonly failure = h('p', { class: 'failure', role: 'alert' });
  private status: LeaseStatus | undefined;
  private heardAt = 0;
  private readonly timer = setInterval(() => { this.tick(); }, 1_000);

  constructor(private readonly does: LeaseActions, private readonly now: () => number = () => performance.now()) {
    this.element.append(this.heading, this.facts, h('h3', {}, 'Receipts'), this.failure, this.rows);
  }

  get isOpen(): boolean {
    return !this.element.hidden;
  }

  /** What the node says. */
  show(status: LeaseStatus): void {
    const before = this.status;
    this.status = status;
    this.heardAt = this.now();
    this.badge.hidden = false;
    this.tick();
    const grew = status.metered_ms !== before?.metered_ms || status.receipts !== before.receipts;
    if (this.isOpen && grew) this.read();
  }

  /** Opens or closes it; says which. */
  toggle(): boolean {
    this.element.hidden = !this.element.hidden;
    if (this.isOpen) {
      this.tick();
      this.read();
      // From the picture no key leads here.
      this.heading.focus();
    }
    return this.isOpen;
  }

  close(): void {
    clearInterval(this.timer);
  }

  private tick(): void {
    const { status } = this;
    if (status === undefined) return;
    const left = duration(Math.max(status.left_ms - (this.now() - this.heardAt), 0));
    this.badge.textContent = `${status.trial ? 'Trial' : `Order ${status.order}`} · ${left}`;
    this.badge.title = status.trial ? 'What is left of the trial: confirm the order to go on' : `Until the order ends; charged so far: ${amount(status.charged_planck)}`;
    if (!this.isOpen) return;
    const signed = this.does.signed();
    const facts: readonly (readonly [string, string])[] = [
      ['Order', status.order],
      [status.trial ? 'Trial left' : 'Left', left],
      [status.trial ? 'Lapses at block' : 'Ends at block', String(status.over_block)],
      ['Metered', duration(status.metered_ms)],
      ['Charged', amount(status.charged_planck)],
      ['Signed here', signed === undefined ? 'nothing: this page has no key' : signed === 1 ? '1 slice' : `${signed} slices`],
    ];
    const rows = facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)));
    if (rows.length !== this.facts.children.length || rows.some((row, at) => !row.isEqualNode(this.facts.children.item(at)))) this.facts.replaceChildren(...rows);
  }

  private read(): void {
    this.does.list().then(
      (all) => {
        this.failure.textContent = '';
        this.list(all);
      },
      (error: unknown) => { this.failure.textContent = sentence(error instanceof Error ? error.message : 'The node did not answer'); },
    );
  }

  /** Rows that stay keep the focus. */
  private list(all: readonly Receipts[]): void {
    const known = new Map([...this.rows.querySelectorAll('li')].map((row) => [row.dataset['receipts'], row]));
    const rows = all.map((each) => known.get(each.receipts) ?? this.row(each.receipts));
    for (const [at, row] of rows.entries()) {
      const facts = row.querySelector('span');
      const each = all[at];
      if (facts !== null && each !== undefined) facts.textContent = factsOf(each);
    }
    if (rows.length !== this.rows.children.length || rows.some((row, at) => row !== this.rows.children.item(at))) this.rows.replaceChildren(...rows);
  }

  private row(receipts: string): HTMLElement {
    const take = (format: 'json' | 'csv'): HTMLElement => button({
      label: format.toUpperCase(),
      name: `Download receipts ${receipts.slice(0, 8)} as ${format.toUpperCase()}`,
      kind: 'quiet',
      onClick: () => {
        this.does.download(receipts, format).then(
          (file) => { keep(file, `receipts-${receipts.slice(0, 8)}.${format}`); },
          (error: unknown) => { this.failure.textContent = sentence(error instanceof Error ? error.message : 'It did not come'); },
        );
      },
    });
    return h('li', { 'data-receipts': receipts },
      h('div', {}, h('b', {}, receipts.slice(0, 8)), h('span')),
      h('div', { class: 'row' }, take('json'), take('csv')));
  }
}

function factsOf({ trial, records, closed, metered_ms: metered, unpaid_ms: unpaid, charged_planck: charged }: Receipts): string {
  const facts = [
    trial ? 'trial' : undefined,
    `${records} records`,
    duration(metered),
    unpaid > 0 ? `${duration(unpaid)} not charged` : undefined,
    amount(charged),
    closed == null ? 'goes on' : closed.replaceAll('_', ' '),
  ];
  return facts.filter((fact) => fact !== undefined).join(', ');
}

/** In full, or as it came where it is no amount. */
function amount(digits: string): string {
  const value = planck(digits);
  return value === undefined ? `${digits} planck` : inDbc(value);
}
