// The way into a machine that is rented: its renter signs with a wallet, a guest comes by a ticket. Loaded where a node
// says that it is rented.
import { ApiProblem } from '../api.ts';
import { button, h } from '../ui/dom.ts';
import { duration, sentence } from '../ui/words.ts';
import type { Bearer, Challenge, Lease, LeaseOrder, Session } from '../wire/index.ts';
import type { LeaseTicket } from './lease-link.ts';
import { wallets, type Wallet, type WalletAccount } from './wallet.ts';

export interface DoorActions {
  readonly lease: () => Promise<Lease>;
  readonly challenge: (order: string, account: string) => Promise<Challenge>;
  readonly prove: (challenge: Challenge, signature: string) => Promise<Bearer>;
  readonly redeem: (ticket: LeaseTicket) => Promise<Bearer>;
  readonly sessions: (bearer: Bearer) => Promise<readonly Session[]>;
  /** In, with nothing to join that runs already. */
  readonly onIn: (bearer: Bearer) => void;
  /** Into a session that runs. */
  readonly onEnter: (bearer: Bearer, session: Session) => void;
  readonly onBack: () => void;
}

export class Door {
  readonly element: HTMLElement;
  private readonly state = h('p', { role: 'status' });
  private readonly failure = h('p', { class: 'failure', role: 'alert' });
  private readonly body = h('div', { class: 'door-body' });

  constructor(private readonly does: DoorActions) {
    this.element = h('main', { class: 'door', 'aria-labelledby': 'door-title' },
      h('section', { class: 'panel' },
        h('h1', { id: 'door-title', tabindex: -1 }, 'This machine is rented'),
        this.state, this.failure, this.body,
        h('div', { class: 'actions' }, button({ label: 'Back to the catalogue', kind: 'quiet', onClick: does.onBack }))));
  }

  /** Asks who rents it. */
  async ask(): Promise<void> {
    try {
      const lease = await this.does.lease();
      const orders = lease.orders.filter(({ cards }) => cards.length > 0);
      this.say(orders.length === 0 ? 'Nobody has an order of it now.' : 'Choose your order, and sign with the wallet that made it. Nothing is paid by that.');
      this.body.replaceChildren(...orders.map((order) => this.order(order, lease.development)));
    } catch (error) {
      this.fail(error);
    }
  }

  /** Comes in by a ticket. */
  async take(ticket: LeaseTicket): Promise<void> {
    this.say('The ticket is being checked');
    try {
      await this.enter(await this.does.redeem(ticket));
    } catch (error) {
      this.fail(error);
    }
  }

  private order(order: LeaseOrder, development: boolean): HTMLElement {
    const left = `${duration(order.left_ms)} left`;
    const cards = order.cards.length === 1 ? '1 card' : `${order.cards.length} cards`;
    const choices = h('div', { class: 'row' });
    const offer = (known: readonly Wallet[]): void => {
      choices.replaceChildren(...known.map((wallet) => button({
        label: `Sign with ${wallet.name}`,
        name: `Sign for order ${order.order} with ${wallet.name}`,
        kind: 'primary',
        onClick: () => { this.accounts(order, wallet, choices); },
      })));
      if (known.length === 0) choices.replaceChildren(h('p', { class: 'detail' }, 'This browser has no wallet. Whoever rents the machine can give you a ticket.'));
    };
    offer(wallets());
    if (development) {
      import('./development-wallet.ts').then(({ developmentWallet }) => { offer([...wallets(), developmentWallet]); }, (error: unknown) => { this.fail(error); });
    }
    return h('section', { class: 'order', 'data-order': order.order },
      h('h2', {}, `Order ${order.order}`),
      h('p', {}, [cards, order.confirmed ? left : `not confirmed, to be tried; lapses in ${duration(order.left_ms)}`].join(', ')),
      choices);
  }

  private accounts(order: LeaseOrder, wallet: Wallet, choices: HTMLElement): void {
    this.failure.textContent = '';
    wallet.accounts().then(
      (accounts) => {
        choices.replaceChildren(...accounts.map((account) => button({
          label: account.name ?? account.address,
          name: `Sign for order ${order.order} as ${account.name ?? account.address}`,
          onClick: () => { this.sign(order, account).catch((error: unknown) => { this.fail(error); }); },
        })));
        if (accounts.length === 0) choices.replaceChildren(h('p', { class: 'detail' }, 'The wallet has no account for this page.'));
        choices.querySelector('button')?.focus();
      },
      (error: unknown) => { this.fail(error); },
    );
  }

  private async sign({ order }: LeaseOrder, account: WalletAccount): Promise<void> {
    this.failure.textContent = '';
    const challenge = await this.does.challenge(order, account.address);
    this.say('Look at your wallet: it shows what you sign');
    const signature = await account.sign(challenge.text);
    await this.enter(await this.does.prove(challenge, signature));
  }

  private async enter(bearer: Bearer): Promise<void> {
    const can = (scope: string): boolean => bearer.scopes.includes(scope);
    const sessions = can('view') || can('play') ? await this.does.sessions(bearer) : [];
    const [first] = sessions;
    if (first === undefined) {
      if (can('start')) this.does.onIn(bearer);
      else this.say('Nobody plays now: come again by the same ticket, if it may be used again, when somebody does.');
      return;
    }
    if (!can('start') && sessions.length === 1) {
      this.does.onEnter(bearer, first);
      return;
    }
    this.say('There is something going on already.');
    this.body.replaceChildren(
      ...sessions.map((session) => button({
        label: can('play') ? `Take over ${session.app}` : `Watch ${session.app}`,
        onClick: () => { this.does.onEnter(bearer, session); },
      })),
      ...(can('start') ? [button({ label: 'Start something else', kind: 'primary', onClick: () => { this.does.onIn(bearer); } })] : []),
    );
  }

  private say(text: string): void {
    this.state.textContent = text;
  }

  private fail(error: unknown): void {
    this.say('');
    const words = error instanceof ApiProblem ? (error.detail ?? error.title) : error instanceof Error ? error.message : 'The wallet did not sign';
    this.failure.textContent = sentence(words);
  }
}
