// Keys of sessions, kept by the browser while their sessions may go on, so that a page that is loaded again signs on. The
// keys themselves cannot be read, by this page either.
import { ReceiptSigner, type Signed } from './receipts.ts';
import { SessionKey } from './session-key.ts';

const STORE = 'keys';
/** Longer than any session. Milliseconds. */
const KEPT_MS = 60 * 86_400_000;

interface Kept extends Pick<SessionKey, 'key' | 'point'> {
  readonly signed: Signed;
}

/** Keeps it for the session of this id; a browser without storage does not. */
export async function keepKey(session: string, key: SessionKey, signed: Signed): Promise<void> {
  const kept: Kept = { key: key.key, point: key.point, signed };
  await within('readwrite', (store) => store.put(kept, session)).catch(() => undefined);
}

/** What signs for a session of an earlier page. */
export async function keptSigner(session: string): Promise<{ readonly key: SessionKey; readonly signer: ReceiptSigner } | undefined> {
  const found = await within<unknown>('readonly', (store) => store.get(session)).catch(() => undefined);
  if (found === undefined) return undefined;
  const { key, point, signed } = found as Kept;
  const made = SessionKey.of({ key, point });
  return { key: made, signer: new ReceiptSigner(made, signed) };
}

/** Of a session that is over, and of those that nobody ended. */
export async function forgetKey(session: string): Promise<void> {
  const now = Date.now();
  await within('readwrite', (store) => {
    store.delete(session);
    const all = store.openCursor();
    all.onsuccess = () => {
      const cursor = all.result;
      if (cursor === null) return;
      if ((cursor.value as Kept).signed.since < now - KEPT_MS) cursor.delete();
      cursor.continue();
    };
    return all;
  }).catch(() => undefined);
}

function within<T>(mode: IDBTransactionMode, does: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open('nearlight-rented', 1);
    opening.onupgradeneeded = () => { opening.result.createObjectStore(STORE); };
    opening.onerror = () => { reject(opening.error ?? new Error('no storage')); };
    opening.onsuccess = () => {
      const base = opening.result;
      const transaction = base.transaction(STORE, mode);
      const request = does(transaction.objectStore(STORE));
      transaction.oncomplete = () => {
        base.close();
        resolve(request.result);
      };
      transaction.onabort = () => {
        base.close();
        reject(transaction.error ?? new Error('it was not kept'));
      };
    };
  });
}
