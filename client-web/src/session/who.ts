// Who plays in this browser, for what the node keeps of games. The id is made once and stays in this browser; whoever
// has it has the saves, so it goes to the node and nowhere else.

const KEY = 'nearlight-player';
/** Characters of an id: 128 random bits in hexadecimal. */
const LONG = /^[0-9a-f]{32}$/;

/** The player of this browser; undefined where the browser keeps nothing, so that there is nothing to come back to. */
export function whoPlays(): string | undefined {
  try {
    const known = localStorage.getItem(KEY);
    if (known !== null && LONG.test(known)) return known;
    const fresh = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
    localStorage.setItem(KEY, fresh);
    return localStorage.getItem(KEY) ?? undefined;
  } catch {
    return undefined;
  }
}
