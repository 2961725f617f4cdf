// Writes src/wire/api.gen.ts from openapi.json; with --check only says whether it is fresh.
import { readFile, writeFile } from 'node:fs/promises';
import openapiTS, { astToString } from 'openapi-typescript';

const source = new URL('../openapi.json', import.meta.url);
const target = new URL('../src/wire/api.gen.ts', import.meta.url);

const document = JSON.parse(await readFile(source, 'utf8'));
const types = astToString(await openapiTS(document, { alphabetize: true, silent: true }));
const text = `// Generated from openapi.json by \`npm run generate\`. Do not edit.\n${types}`;

if (process.argv.includes('--check')) {
  const present = await readFile(target, 'utf8').catch(() => '');
  if (present !== text) {
    console.error('src/wire/api.gen.ts does not match openapi.json: run `npm run generate`');
    process.exit(1);
  }
} else {
  await writeFile(target, text);
}
