// The box that invites others to a session: makes links, shows who came by which, and takes them back. A
// link is known here only while this page is open: the node keeps none.
import type { InvitedRole, Invitation } from '../wire/index.ts';
import { button, h } from './dom.ts';
import { duration, ROLES } from './words.ts';

export interface InviteActions {
  readonly make: (role: InvitedRole) => Promise<Invitation>;
  readonly list: () => Promise<readonly Invitation[]>;
  readonly revoke: (id: number) => Promise<void>;
  /** Something is to be said in passing. */
  readonly say: (text: string) => void;
}

/** How often the list is read while the box is open. */
const READ_MS = 2_000;

export class InviteBox {
  readonly element = h('aside', { class: 'side invite', 'aria-label': 'Invite', hidden: true });
  private readonly role = h('select', { id: 'invite-role' });
  private readonly rows = h('ul', { 'aria-label': 'Invitations' });
  private readonly failure = h('p', { class: 'failure', role: 'alert' });
  /** Links that were made on this page, by the invitation's number. */
  private readonly links = new Map<number, string>();
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly does: InviteActions) {
    for (const role of ['spectator', 'co_player'] as const) {
      this.role.append(h('option', { value: role }, `${ROLES[role].title}: ${ROLES[role].may}`));
    }
    const make = button({ label: 'Make a link', kind: 'primary', onClick: () => { this.make(); } });
    this.element.append(
      h('h2', {}, 'Invite'),
      h('label', { for: 'invite-role' }, 'Whoever has the link joins as'),
      h('div', { class: 'row' }, this.role, make),
      this.failure,
      this.rows,
    );
  }

  get isOpen(): boolean {
    return !this.element.hidden;
  }

  /** Opens or closes it; says which. */
  toggle(): boolean {
    this.element.hidden = !this.element.hidden;
    clearInterval(this.timer);
    if (!this.element.hidden) {
      this.read();
      this.timer = setInterval(() => { this.read(); }, READ_MS);
      this.role.focus();
    }
    return !this.element.hidden;
  }

  close(): void {
    clearInterval(this.timer);
  }

  private make(): void {
    this.does.make(this.role.value === 'co_player' ? 'co_player' : 'spectator').then(
      (made) => {
        if (made.url != null) {
          this.links.set(made.id, made.url);
          this.copy(made.url);
        }
        this.read();
      },
      (error: unknown) => { this.fail(error); },
    );
  }

  private read(): void {
    this.does.list().then(
      (all) => {
        this.failure.textContent = '';
        this.show(all);
      },
      (error: unknown) => { this.fail(error); },
    );
  }

  private show(all: readonly Invitation[]): void {
    const rows = all.map((invitation) => this.row(invitation));
    // What did not change keeps the focus.
    const same = rows.length === this.rows.children.length && rows.every((row, at) => row.isEqualNode(this.rows.children.item(at)));
    if (!same) this.rows.replaceChildren(...rows);
  }

  private row(invitation: Invitation): HTMLElement {
    const { id, role, viewers, expires_at: expires, uses_left: uses } = invitation;
    const url = this.links.get(id);
    const minutes = Math.max(Math.round((expires - Date.now()) / 60_000), 0);
    const facts = [
      viewers === 1 ? '1 is here' : `${viewers} are here`,
      `ends in ${minutes < 120 ? duration(minutes * 60_000) : `${Math.round(minutes / 60)} h`}`,
      uses == null ? undefined : `${uses} more may join`,
    ];
    return h('li', {},
      h('div', {}, h('b', {}, ROLES[role].title), h('span', {}, facts.filter((fact) => fact !== undefined).join(', '))),
      h('div', { class: 'row' },
        url === undefined
          ? h('span', { class: 'gone' }, 'made elsewhere')
          : button({ label: 'Copy link', name: `Copy the link of invitation ${id}`, onClick: () => { this.copy(url); } }),
        button({ label: 'Revoke', name: `Revoke invitation ${id}`, onClick: () => { this.revoke(id); } })),
    );
  }

  private revoke(id: number): void {
    this.does.revoke(id).then(
      () => {
        this.links.delete(id);
        // The focus does not fall out of the box with what had it.
        this.role.focus();
        this.read();
      },
      (error: unknown) => { this.fail(error); },
    );
  }

  private copy(url: string): void {
    // A page on plain HTTP from elsewhere has no clipboard.
    const copied = 'clipboard' in navigator ? navigator.clipboard.writeText(url) : Promise.reject(new Error('no clipboard'));
    copied.then(
      () => { this.does.say('The link is copied'); },
      () => { this.does.say(url); },
    );
  }

  private fail(error: unknown): void {
    this.failure.textContent = error instanceof Error ? error.message : 'The node did not answer.';
  }
}
