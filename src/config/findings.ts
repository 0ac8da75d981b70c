import type { ConfigFault } from './faults.ts';
import { dotted, type KeyPath } from './key-path.ts';
import { maskShapes } from './mask.ts';
import type { Origins } from './origins.ts';
import type { TomlPositions } from './toml-positions.ts';

export interface Finding {
  readonly path: KeyPath;
  readonly message: string;
  readonly remedy: string;
  /** Something is not there. Not reported beside syntax errors, which may have swallowed it. */
  readonly absence?: boolean;
}

/** Collects what is wrong and says where it stands. */
export class Findings {
  readonly faults: ConfigFault[] = [];
  readonly warnings: ConfigFault[] = [];
  readonly #file: string;
  readonly #positions: TomlPositions;
  readonly #origins: Origins;
  readonly #incomplete: boolean;

  constructor(file: string, positions: TomlPositions, origins: Origins, incomplete: boolean) {
    this.#file = file;
    this.#positions = positions;
    this.#origins = origins;
    this.#incomplete = incomplete;
  }

  add(finding: Finding): void {
    if (finding.absence === true && this.#incomplete) return;
    this.faults.push(this.#locate(finding));
  }

  /** For a fault whose line is known otherwise. */
  addAt(line: number, finding: Finding): void {
    this.faults.push({ ...this.#locate(finding), line });
  }

  warn(finding: Finding): void {
    this.warnings.push(this.#locate(finding));
  }

  #locate({ path, message, remedy }: Finding): ConfigFault {
    const variable = this.#origins.variableAt(path);
    return {
      file: this.#file,
      line: this.#positions.lineNear(path),
      key: path.length === 0 ? undefined : maskShapes(dotted(path)),
      message: maskShapes(variable === undefined ? message : `${message} (from the environment variable ${variable})`),
      remedy: maskShapes(variable === undefined ? remedy : `correct or unset ${variable}, or ${remedy}`),
    };
  }
}
