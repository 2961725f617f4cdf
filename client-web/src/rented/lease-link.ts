// A ticket of a renter, as it travels in a link's fragment (`#lease=`): base64url of JSON.
import { isRecord } from '../wire/control.ts';

export interface LeaseTicket {
  /** The text that the renter signed. */
  readonly text: string;
  readonly signature: string;
  /** Opens it, together with the two. */
  readonly secret: string;
}

/** Undefined where it is none. */
export function readTicket(fragment: string): LeaseTicket | undefined {
  let value: unknown;
  try {
    const bytes = Uint8Array.from(atob(fragment.replace(/-/g, '+').replace(/_/g, '/')), (each) => each.charCodeAt(0));
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
  if (!isRecord(value)) return undefined;
  const { ticket, signature, secret } = value;
  if (typeof ticket !== 'string' || typeof signature !== 'string' || typeof secret !== 'string') return undefined;
  return { text: ticket, signature, secret };
}
