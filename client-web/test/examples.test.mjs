// docs/api.md has every call; e2e/examples.test.mjs runs them.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { examples } from '../scripts/examples.mjs';

const openapi = JSON.parse(readFileSync(new URL('../openapi.json', import.meta.url), 'utf8'));

describe('the examples of the HTTP interface', () => {
  it('have every call in each language, but the two that become a WebSocket', () => {
    const sections = examples(openapi).split(/^## /m).slice(1);
    const shown = sections.map((section) => [section.split('\n', 1)[0], [...section.matchAll(/^```(\w+)$/gm)].map(([, language]) => language)]);
    const calls = Object.values(openapi.paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
    const sockets = ['connect_socket', 'connect_viewer_socket'];
    expect(shown).toEqual(calls.filter((name) => !sockets.includes(name)).map((name) => [name, ['sh', 'ts', 'python']]));
  });
});
