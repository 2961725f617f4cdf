// Writes what comes from openapi.json: the client's types and the examples. With --check only says whether they are fresh.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import openapiTS, { astToString } from 'openapi-typescript';
import { examples } from './examples.mjs';

const source = new URL('../openapi.json', import.meta.url);
const document = JSON.parse(await readFile(source, 'utf8'));
const types = astToString(await openapiTS(document, { alphabetize: true, silent: true }));

const generated = {
  '../src/wire/api.gen.ts': `// Generated from openapi.json by \`npm run generate\`. Do not edit.\n${types}`,
  '../../docs/api.md': examples(document),
};
for (const [path, text] of Object.entries(generated)) {
  const target = new URL(path, import.meta.url);
  if (!process.argv.includes('--check')) {
    await mkdir(new URL('.', target), { recursive: true });
    await writeFile(target, text);
  } else if ((await readFile(target, 'utf8').catch(() => '')) !== text) {
    console.error(`${path.replaceAll('../', '')} does not match openapi.json: run \`npm run generate\``);
    process.exitCode = 1;
  }
}
