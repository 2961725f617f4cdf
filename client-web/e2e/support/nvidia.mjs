// NVIDIA's driver for a node of its own: the doubles of testkit/ under the names by which the node looks for libraries.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { binary } from './node.mjs';

const LIBRARIES = { 'libcuda.so.1': 'libnearlight_fake_cuda.so', 'libnvidia-encode.so.1': 'libnearlight_fake_nvenc.so' };

/** Yields what a node's environment needs, and what takes it away. */
export function fakeDriver() {
  const folder = mkdtempSync(join(tmpdir(), 'nearlight-nvidia-'));
  for (const [name, double] of Object.entries(LIBRARIES)) {
    const built = ['deps', '.'].map((below) => join(dirname(binary()), below, double)).find(existsSync);
    assert.ok(built, `${double} does not exist: run \`cargo test --workspace --no-run\``);
    symlinkSync(built, join(folder, name));
  }
  const others = process.env.LD_LIBRARY_PATH;
  return {
    environment: { LD_LIBRARY_PATH: others === undefined ? folder : `${folder}:${others}` },
    remove: () => { rmSync(folder, { recursive: true, force: true }); },
  };
}
