import { h } from './dom.ts';

/** The browser has begun to read a file by then. */
const READ_MS = 60_000;

/** Gives the user a file. */
export function keep(file: Blob, name: string): void {
  const url = URL.createObjectURL(file);
  h('a', { href: url, download: name }).click();
  setTimeout(() => { URL.revokeObjectURL(url); }, READ_MS);
}
