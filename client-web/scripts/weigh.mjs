// Prints what the page weighs on the wire, and fails when it weighs more than it may.
import { readdir, readFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';

/** Bytes, gzip. */
const BUDGET = 150_000;
/** What only whoever rents a machine loads: wallets, and how they sign. */
const LAZY = /injectedWeb3|SS58PRE/;
const root = new URL('../dist/', import.meta.url);

let total = 0;
for (const name of (await readdir(root, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())) {
  const file = await readFile(`${name.parentPath}/${name.name}`);
  const size = gzipSync(file, { level: 9 }).length;
  total += size;
  console.log(`${String(size).padStart(7)} B gzip  ${name.name}`);
  if (/^index-.*\.js$/.test(name.name) && LAZY.test(file.toString())) {
    console.error(`${name.name} holds code of wallets, which is to come when it is wanted`);
    process.exit(1);
  }
}
console.log(`${String(total).padStart(7)} B gzip  in all (at most ${BUDGET})`);
if (total > BUDGET) {
  console.error('the page is too heavy');
  process.exit(1);
}
