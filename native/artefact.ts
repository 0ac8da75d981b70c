import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import type { Recipe } from './compilers.ts';
import { signAdHoc } from './signature.ts';

/** One binary of `prebuilds/`. */
export interface Artefact {
  /** What is compiled, then what that includes. */
  readonly sources: readonly string[];
  readonly headers: readonly string[];
  readonly target: string;
  readonly platform: NodeJS.Platform;
  /** Where the hash of its inputs is kept: beside the project, never in the package. */
  readonly stamp: string;
  readonly recipes: readonly Recipe[];
  /** Versions of everything that takes part besides source and flags. */
  readonly toolchain: readonly string[];
  /** Runs the new binary; what is wrong with it, or undefined. */
  readonly trial: (file: string) => string | undefined;
}

export interface Built {
  readonly linked: string;
  readonly bytes: number;
  readonly upToDate: boolean;
}

interface Stamp {
  readonly inputs: string;
  readonly linked: string;
}

/**
 * Builds with the first recipe whose result runs, unless nothing changed since the last time.
 *
 * @throws Error with every compiler's words if no recipe works.
 */
export function build(artefact: Artefact): Built {
  const inputs = digest(artefact);
  const last = readStamp(artefact.stamp);
  if (last?.inputs === inputs && existsSync(artefact.target)) {
    return { linked: last.linked, bytes: statSync(artefact.target).size, upToDate: true };
  }
  const complaints: string[] = [];
  for (const recipe of artefact.recipes) {
    const complaint = tryRecipe(artefact, recipe);
    if (complaint === undefined) {
      writeAtomically(artefact.stamp, JSON.stringify({ inputs, linked: recipe.linked } satisfies Stamp));
      return { linked: recipe.linked, bytes: statSync(artefact.target).size, upToDate: false };
    }
    complaints.push(`${recipe.compiler.join(' ')} (${recipe.linked}): ${complaint}`);
  }
  throw new Error(`${path.basename(artefact.target)} could not be built:\n${complaints.join('\n')}`);
}

/**
 * Built aside and renamed, so that two builds at once or a daemon that runs the old one are never disturbed. Under its own name,
 * because linkers for macOS write that into the binary: the same sources make the same bytes.
 */
function tryRecipe({ sources, target, platform, trial }: Artefact, { compiler, flags }: Recipe): string | undefined {
  const [program = '', ...args] = compiler;
  mkdirSync(path.dirname(target), { recursive: true });
  const folder = mkdtempSync(`${target}.`);
  const fresh = path.join(folder, path.basename(target));
  try {
    const { status, stderr, error } = spawnSync(program, [...args, ...sources, '-o', fresh, ...flags], {
      encoding: 'utf8',
    });
    if (status !== 0) return error?.message ?? stderr.trim();
    chmodSync(fresh, 0o755);
    if (platform === 'darwin') writeFileSync(fresh, signAdHoc(readFileSync(fresh), path.basename(target)));
    const fault = trial(fresh);
    if (fault === undefined) renameSync(fresh, target);
    return fault;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function digest({ sources, headers, recipes, toolchain }: Artefact): string {
  const hash = createHash('sha256').update(JSON.stringify([recipes, toolchain]));
  for (const file of [...sources, ...headers]) hash.update(readFileSync(file));
  return hash.digest('hex');
}

function readStamp(file: string): Stamp | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Stamp;
  } catch {
    return undefined;
  }
}

function writeAtomically(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(`${file}.${process.pid}`, text);
  renameSync(`${file}.${process.pid}`, file);
}
