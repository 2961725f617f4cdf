// docs/api.md has every call, in TypeScript that is right by its types; e2e/examples.test.mjs runs them.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { examples } from '../scripts/examples.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** What the examples use of Node.js, as its own types have it. */
const NODE = `
declare module 'node:fs/promises' {
  export function readFile(path: string): Promise<Uint8Array<ArrayBuffer>>;
  export function writeFile(path: string, data: Uint8Array): Promise<void>;
}
declare const process: { readonly env: Readonly<Record<string, string | undefined>> };
declare const Buffer: { from(bytes: ArrayBuffer): Uint8Array };
`;

const openapi = JSON.parse(readFileSync(new URL('../openapi.json', import.meta.url), 'utf8'));

describe('the examples of the HTTP interface', () => {
  it('have every call in each language, but the two that become a WebSocket', () => {
    const sections = examples(openapi).split(/^## /m).slice(1);
    const shown = sections.map((section) => [section.split('\n', 1)[0], [...section.matchAll(/^```(\w+)$/gm)].map(([, language]) => language)]);
    const calls = Object.values(openapi.paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
    const sockets = ['connect_socket', 'connect_viewer_socket'];
    expect(shown).toEqual(calls.filter((name) => !sockets.includes(name)).map((name) => [name, ['sh', 'ts', 'python']]));
  });

  it('are right by the types of TypeScript', () => {
    const folder = mkdtempSync(join(tmpdir(), 'nearlight-examples-'));
    try {
      const files = {
        // Each is a module, whether it imports anything or not.
        'tsconfig.json': JSON.stringify({ extends: here('../tsconfig.base.json'), compilerOptions: { moduleDetection: 'force' } }),
        // No call has such a name.
        'of-node.d.ts': NODE,
      };
      for (const [, name, text] of examples(openapi).matchAll(/^## (\w+)$.*?^```ts\n(.*?)^```$/gms)) files[`${name}.ts`] = text;
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
      const { status, stdout } = spawnSync(process.execPath, [here('../node_modules/typescript/bin/tsc'), '--noEmit', '-p', folder], { encoding: 'utf8' });
      expect([stdout, status]).toEqual(['', 0]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
