import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/**
 * A home as data, given to the real client and to the doctor. In texts `{HOME}` is the home's folder, `{API}` the address
 * of the recorder, and `{HELPER:name}` a helper that prints a key of its own and leaves its name behind when it runs.
 */
export interface TruthHome {
  readonly name: string;
  readonly env?: Readonly<Record<string, string>>;
  /**
   * By path below the home: text, anything else as JSON, or `-> target` for a link; a folder's path ends in `/`. `etc/…`
   * stands for `/etc/…`.
   */
  readonly files?: Readonly<Record<string, unknown>>;
  /** `--bare` or not; and what `--settings` is given. */
  readonly bare?: true;
  readonly settings?: string;
  /** Where the client is started; default: `project`. */
  readonly cwd?: string;
  /** What descriptor 3 of the client holds. */
  readonly descriptor?: string;
}

/** One value for each kind of credential, so that a header says where it came from. */
export const API = 'sk-ant-api03-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
export const TOKEN = 'gateway-token-BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB';
export const OAUTH = 'sk-ant-oat01-CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC';
export const LOGIN = 'sk-ant-oat01-DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD';
export const CONSOLE = 'sk-ant-api03-EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE';
export const CUSTOM = 'custom-header-FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF';
export const HANDED = 'sk-ant-api03-GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG';
export const CLOUD = 'bedrock-token-HHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHH';
export const PROFILE = 'profile-token-IIIIIIIIIIIIIIIIIIIIIIIIIIIIIIII';

/** The folder of a home, laid out; removed with `dispose`. */
export class LaidHome {
  readonly root = mkdtempSync(path.join(tmpdir(), 'broker-truth-'));
  readonly api: string;
  readonly data: TruthHome;
  readonly cwd: string;

  constructor(data: TruthHome, api: string) {
    this.data = data;
    this.api = api;
    this.cwd = path.join(this.root, data.cwd ?? 'project');
    mkdirSync(path.join(this.root, 'helpers'), { recursive: true });
    mkdirSync(this.cwd, { recursive: true });
    for (const [name, content] of Object.entries(data.files ?? {})) this.#write(name, content);
    const moved = this.env['CLAUDE_CONFIG_DIR'];
    const state = path.join(moved ? path.resolve(this.cwd, moved) : this.root, '.claude.json');
    // A home in which the client has been before.
    if (!existsSync(state)) this.#write(path.relative(this.root, state), {});
  }

  fill(text: string): string {
    return text
      .replaceAll('{HOME}', this.root)
      .replaceAll('{API}', this.api)
      .replace(/\{HELPER:([\w-]+)\}/g, (_, name: string) => this.#helper(name));
  }

  get env(): Record<string, string> {
    return Object.fromEntries(Object.entries(this.data.env ?? {}).map(([name, value]) => [name, this.fill(value)]));
  }

  get settings(): string | undefined {
    return this.data.settings === undefined ? undefined : this.fill(this.data.settings);
  }

  /** Where the helpers leave their names. */
  get ran(): string {
    return path.join(this.root, 'ran');
  }

  /** Writes a program; returns its folder. */
  program(name: string, line: string): string {
    const file = path.join(this.root, 'programs', name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, `#!/bin/sh\n${line}\n`);
    chmodSync(file, 0o755);
    return path.dirname(file);
  }

  #write(name: string, content: unknown): void {
    const file = path.join(this.root, name);
    mkdirSync(name.endsWith('/') ? file : path.dirname(file), { recursive: true });
    if (name.endsWith('/')) return;
    const text = this.fill(typeof content === 'string' ? content : JSON.stringify(content, null, 2));
    if (text.startsWith('-> ')) symlinkSync(text.slice(3), file);
    else writeFileSync(file, text, { mode: 0o600 });
    if (text.startsWith('#!')) chmodSync(file, 0o755);
  }

  #helper(name: string): string {
    const file = path.join(this.root, 'helpers', name);
    writeFileSync(file, `#!/bin/sh\necho ${name} >> ${this.ran}\necho ${keyOf(name)}\n`);
    chmodSync(file, 0o755);
    return file;
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

export function keyOf(helper: string): string {
  return `sk-ant-api03-helper-${helper}-0123456789abcdef`;
}
