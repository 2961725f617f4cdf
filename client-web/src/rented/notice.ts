// What a rented machine's catalogue says before anybody is refused: what it costs, and how one gets in. Loaded where a node
// says that it is rented.
import { button, h } from '../ui/dom.ts';
import { icons } from '../ui/icons.ts';
import { duration } from '../ui/words.ts';
import type { Bearer, Lease, LeasePrice } from '../wire/index.ts';
import { inDbc, planck } from './amount.ts';

/** `bearer`: of whoever is in already. */
export function rentNotice(lease: Lease, bearer: Pick<Bearer, 'order' | 'role'> | undefined, onProve: () => void): HTMLElement {
  const { title, lines } = bearer === undefined ? words(lease) : wordsFor(lease, bearer);
  return h('section', { class: 'notice rent', 'aria-labelledby': 'rent-title' },
    icons.lock(),
    h('div', {},
      h('h2', { id: 'rent-title' }, title),
      ...lines.map((line) => h('p', {}, line)),
      bearer === undefined ? h('p', {}, 'Its id on the chain: ', h('code', {}, lease.machine)) : undefined),
    bearer === undefined ? button({ label: 'I rent it', kind: 'primary', onClick: onProve }) : undefined);
}

interface Words {
  readonly title: string;
  readonly lines: readonly string[];
}

/** For whoever comes. */
export function words({ block, cards, price, orders }: Pick<Lease, 'block' | 'cards' | 'price' | 'orders'>): Words {
  const waiting = 'The node has not heard of the chain yet. Nobody can come in until it has.';
  const free = cards == null ? 'The chain does not have this machine now' : `${cards.free} of ${count(cards.all, 'card')} ${cards.free === 1 ? 'is' : 'are'} free`;
  const costs = price == null ? 'The chain names no price now' : costOf(price);
  return {
    title: 'This machine is for rent',
    lines: [
      'Whoever has an order of it on DeepBrain Chain plays, and can try it before paying. Rent it by a wallet or by the command nearlight rent; then sign here with the wallet that did. Guests come by the link that a renter gave them.',
      ...(block == null ? [waiting] : [`${costs}. ${free}; ${orders.length === 0 ? 'there are no orders' : `there ${orders.length === 1 ? 'is' : 'are'} ${count(orders.length, 'order')}`}.`]),
    ],
  };
}

/** For whoever has proved who he is. */
export function wordsFor({ orders }: Pick<Lease, 'orders'>, { order, role }: Pick<Bearer, 'order' | 'role'>): Words {
  const known = orders.find((each) => each.order === order);
  const by = role === 'guest' ? `You are a guest of order ${order}` : `You are in by order ${order}`;
  if (known === undefined) return { title: `${by}, which is over`, lines: [] };
  const left = duration(known.left_ms);
  const waits = `It is not confirmed: it can be tried, and lapses in ${left}, in block ${known.over_block}.`;
  return { title: by, lines: [known.confirmed ? `It lasts ${left} more, to block ${known.over_block}.` : waits] };
}

/** What the smallest order costs, in full. */
export function costOf({ blocks, lasts_ms: lasts, rent_planck: rent, fixed_planck: fixed }: LeasePrice): string {
  const long = lasts == null ? `${blocks} blocks` : `${blocks} blocks (${duration(lasts)})`;
  return `A card costs ${amount(rent)} for ${long}, and each order ${amount(fixed)} beside, which is not given back`;
}

function amount(digits: string): string {
  const value = planck(digits);
  return value === undefined ? `${digits} planck` : inDbc(value);
}

function count(number: number, of: string): string {
  return `${number} ${of}${number === 1 ? '' : 's'}`;
}
