import { createHash } from 'node:crypto';
import { type Machine, must, NODE_VERSION } from './machine.ts';

interface Bom {
  serialNumber?: string;
  metadata: { timestamp?: string; tools?: unknown };
  components: object[];
  dependencies: { ref: string; dependsOn: string[] }[];
}

/**
 * CycloneDX, of what npm installed there before it was pruned, since the bundle contains parts of packages whose folders are
 * gone; and of Node. What npm makes by chance and by the clock comes from the content and the time of the build.
 */
export function billOfMaterials(tree: string, machine: Machine, epoch: number): string {
  const bom = JSON.parse(must('npm', ['sbom', '--omit=dev', '--sbom-format=cyclonedx'], { cwd: tree })) as Bom;
  const purl = `pkg:npm/node-${machine.name}@${NODE_VERSION}`;
  bom.components.push({
    'bom-ref': purl,
    type: 'application',
    name: 'node',
    version: NODE_VERSION,
    description: 'The runtime, stripped; its own parts (V8, OpenSSL, …) are in the licence file beside it',
    purl,
    licenses: [{ license: { id: 'MIT' } }],
  });
  bom.metadata.timestamp = new Date(epoch * 1000).toISOString();
  delete bom.serialNumber;
  const digest = createHash('sha256').update(JSON.stringify(bom)).digest('hex');
  const part = (from: number, length: number) => digest.slice(from, from + length);
  // A UUID of version 8: made by its own rule.
  bom.serialNumber = `urn:uuid:${part(0, 8)}-${part(8, 4)}-8${part(12, 3)}-8${part(15, 3)}-${part(18, 12)}`;
  return `${JSON.stringify(bom, null, 2)}\n`;
}
