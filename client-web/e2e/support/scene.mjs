// A scene of blocks that stands still until somebody does something: every change of its picture is an
// answer to input. Written as glTF into a folder of its own.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Catalogue id of the scene: its folder's name is what the node makes one from. */
export function writeBlocks() {
  const folder = mkdtempSync(join(tmpdir(), 'nearlight-blocks-'));
  writeFileSync(join(folder, 'blocks.gltf'), JSON.stringify(blocks()));
  const id = folder.split('/').at(-1).toLowerCase().replaceAll(/[^a-z0-9]/g, '-');
  return { folder, id, remove: () => { rmSync(folder, { recursive: true }); } };
}

const COLOURS = [[0.9, 0.1, 0.1], [0.1, 0.7, 0.2], [0.1, 0.3, 0.9], [0.9, 0.8, 0.1], [0.9, 0.9, 0.9]];

function blocks() {
  const { positions, normals, indices } = cube();
  const nodes = [];
  for (let x = -2; x <= 2; x += 1) {
    for (let y = -2; y <= 2; y += 1) {
      if (x === 0 && y === 0) continue;
      nodes.push({ mesh: (x + 2 * y + 10) % COLOURS.length, translation: [x, y, ((x * 7 + y * 3) % 3) * 0.4], scale: [0.35, 0.35, 0.35] });
    }
  }
  // The block in the middle grows at a click, at once and for as long as a test may take.
  nodes.push({ mesh: 4, name: 'middle', scale: [0.45, 0.45, 0.45], extras: { nearlight: { onClick: 'grow' } } });
  const middle = nodes.length - 1;
  const times = new Float32Array([0, 0.1, 3600]);
  const scales = new Float32Array([0.45, 0.45, 0.45, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5]);
  const parts = [positions, normals, indices, times, scales].map((part) => Buffer.from(part.buffer));
  const views = [];
  let offset = 0;
  for (const part of parts) {
    views.push({ buffer: 0, byteOffset: offset, byteLength: part.length });
    offset += part.length;
  }
  const accessor = (bufferView, componentType, type, count, more) => ({ bufferView, componentType, type, count, ...more });
  return {
    asset: { version: '2.0' },
    scene: 0,
    scenes: [{ nodes: nodes.map((_, at) => at) }],
    nodes,
    materials: COLOURS.map((colour) => ({ pbrMetallicRoughness: { baseColorFactor: [...colour, 1], metallicFactor: 0, roughnessFactor: 0.8 } })),
    meshes: COLOURS.map((_, material) => ({ primitives: [{ attributes: { POSITION: 0, NORMAL: 1 }, indices: 2, material }] })),
    animations: [{
      name: 'grow',
      samplers: [{ input: 3, output: 4, interpolation: 'LINEAR' }],
      channels: [{ sampler: 0, target: { node: middle, path: 'scale' } }],
    }],
    accessors: [
      accessor(0, 5126, 'VEC3', 24, { min: [-1, -1, -1], max: [1, 1, 1] }),
      accessor(1, 5126, 'VEC3', 24),
      accessor(2, 5123, 'SCALAR', 36),
      accessor(3, 5126, 'SCALAR', 3, { min: [0], max: [3600] }),
      accessor(4, 5126, 'VEC3', 3),
    ],
    bufferViews: views,
    buffers: [{ byteLength: offset, uri: `data:application/octet-stream;base64,${Buffer.concat(parts).toString('base64')}` }],
  };
}

/** A cube from -1 to 1: four corners a side, so that each side has its own normal. */
function cube() {
  const [positions, normals, indices] = [[], [], []];
  for (let axis = 0; axis < 3; axis += 1) {
    for (const side of [-1, 1]) {
      const first = positions.length / 3;
      for (const [u, v] of [[-1, -1], [1, -1], [1, 1], [-1, 1]]) {
        const corner = [0, 0, 0];
        [corner[axis], corner[(axis + 1) % 3], corner[(axis + 2) % 3]] = [side, u, v];
        positions.push(...corner);
        normals.push(...[0, 1, 2].map((each) => (each === axis ? side : 0)));
      }
      const order = side > 0 ? [0, 1, 2, 0, 2, 3] : [0, 2, 1, 0, 3, 2];
      indices.push(...order.map((each) => first + each));
    }
  }
  return { positions: new Float32Array(positions), normals: new Float32Array(normals), indices: new Uint16Array(indices) };
}
