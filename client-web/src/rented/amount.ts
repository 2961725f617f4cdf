// Amounts of money: planck, the chain's smallest unit, in decimal digits on the wire. A number of JavaScript ends at nine
// DBC; these do not.

const PLANCK_PER_DBC = 10n ** 15n;
/** What the chain holds an amount in: 128 bits. */
const MOST = 2n ** 128n - 1n;

/** Of the digits on the wire; undefined where they are not an amount in its one form. */
export function planck(digits: string): bigint | undefined {
  if (!/^(0|[1-9]\d{0,38})$/.test(digits)) return undefined;
  const amount = BigInt(digits);
  return amount <= MOST ? amount : undefined;
}

/** For people: all digits that are not zero, and the unit. */
export function inDbc(amount: bigint): string {
  const whole = amount / PLANCK_PER_DBC;
  const rest = (amount % PLANCK_PER_DBC).toString().padStart(15, '0').replace(/0+$/, '');
  return rest === '' ? `${whole} DBC` : `${whole}.${rest} DBC`;
}
