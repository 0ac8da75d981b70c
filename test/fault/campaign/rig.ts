import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readLockHolder } from '../../../src/platform/state-lock.ts';
import type { StatusReport } from '../../../src/protocol/reports.ts';
import { writeLaunchRecord } from '../../../src/service/unmanaged.ts';
import { readStored } from '../../fakes/cache-dump.ts';
import { BrokerHome, PROGRAM } from '../../fakes/daemon-process.ts';
import { DevVault } from '../../fakes/dev-vault/dev-vault.ts';
import { FailingProxy } from '../../fakes/failing-proxy.ts';
import { enrolLaptop } from '../../fakes/laptop.ts';
import { isRunning, until } from '../../fakes/processes.ts';
import { type Outcome, runHelper } from '../../native/run-helper.ts';
import { Audit } from './audit.ts';
import type { Tally } from './experiment.ts';
import { KEPT } from './report.ts';
import { stoodStill } from './stalls.ts';

export interface RigOptions {
  readonly fixed?: number;
  readonly leased?: number;
  /** Of the fixed keys. */
  readonly ttl?: string;
  readonly leaseMs?: number;
  /** See Audit. */
  readonly staleMs?: number;
  readonly nodeArgs?: readonly string[];
  /** More of the daemon's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** What runs the daemon's command: ["prlimit", …]. */
  readonly within?: readonly string[];
}

const LONGEST_HELPER_MS = 10_500;
const AT_REST = new Set(['cache.db', 'cache.db-wal', 'compiled', 'kek', 'lock', 'launch', 'running', 'refusal']);

/**
 * The real daemon, started by the helper that finds none, between real helpers and a development Vault behind a proxy. It knows every
 * key that was ever given out, to whom and until when.
 */
export class Rig {
  readonly vault: DevVault;
  readonly proxy: FailingProxy;
  readonly home: BrokerHome;
  readonly fixed: readonly string[];
  readonly leased: readonly string[];
  /** What the helper is started with. */
  readonly env: Readonly<Record<string, string>>;
  readonly #audit: Audit;
  readonly #options: RigOptions;
  #serial = 0;

  private constructor(vault: DevVault, proxy: FailingProxy, options: RigOptions) {
    const { fixed = 3, leased = 2, leaseMs = 60_000 } = options;
    this.vault = vault;
    this.proxy = proxy;
    this.#options = options;
    this.#audit = new Audit(options.staleMs);
    proxy.onAnswered = (body) => this.#answered(body);
    this.home = new BrokerHome('');
    this.fixed = Array.from({ length: fixed }, (_, index) => `fixed-${index}`);
    this.leased = Array.from({ length: leased }, (_, index) => `leased-${index}`);
    this.home.configure(this.config());
    this.env = this.home.env;
    vault.policies.write('claude', ['secret/data/*', 'apikeys/creds/*', 'sys/leases/revoke']);
    enrolLaptop(vault, this.home.folder);
    for (const name of this.fixed) this.rotate(name);
    for (const name of this.leased) vault.engines.role(name, { ttlMs: leaseMs, maxTtlMs: 2 * leaseMs });
    mkdirSync(this.home.stateDir, { mode: 0o700 });
    this.launchWith({});
  }

  static async start(options: RigOptions = {}): Promise<Rig> {
    const vault = await DevVault.start({ nowMs: () => Date.now() });
    const rig = new Rig(vault, await FailingProxy.start(vault.address), options);
    openRigs.add(rig);
    return rig;
  }

  config(extra = ''): string {
    const { ttl = '2s' } = this.#options;
    const fixed = this.fixed.map(
      (name) =>
        `[credentials.${name}]\nprovider = "vault"\npath = "secret/data/${name}"\nfield = "key"\nttl = "${ttl}"\n`,
    );
    const leased = this.leased.map(
      (name) => `[credentials.${name}]\nprovider = "vault"\npath = "apikeys/creds/${name}"\nfield = "api_key"\n`,
    );
    return `default = "${this.fixed[0]}"
[providers.vault]
type = "vault"
address = "${this.proxy.address}"
[providers.vault.auth]
method = "approle"
role_id_file = "~/role-id"
secret_id_file = "~/secret-id"
${[...fixed, ...leased].join('')}${extra}`;
  }

  /** How helpers start the daemon from now on. */
  launchWith(env: Readonly<Record<string, string>>, within: readonly string[] = this.#options.within ?? []): void {
    const { nodeArgs = [] } = this.#options;
    const command = [...within.map(absolute), process.execPath, '--disable-sigusr1', ...nodeArgs, PROGRAM, 'daemon'];
    writeLaunchRecord(this.home.stateDir, {
      run: command,
      env: { PATH: process.env['PATH'] ?? '', BROKER_CONFIG: this.home.configFile, ...this.#options.env, ...env },
      service: undefined,
      autostart: true,
    });
  }

  get names(): readonly string[] {
    return [...this.fixed, ...this.leased];
  }

  /** A new value in Vault. */
  rotate(name: string): void {
    this.#serial += 1;
    const value = `sk-${name}-${this.#serial}-0123456789`;
    this.#audit.stored(name, value, Date.now());
    this.vault.kv.writeV2(`secret/${name}`, { key: value });
  }

  /** What Vault has by now. */
  present(name: string): string {
    return this.#audit.present(name);
  }

  #answered(body: string): void {
    const { lease_id, data } = JSON.parse(body || '{}') as { lease_id?: string; data?: { data?: { key?: string } } };
    if (lease_id) this.#audit.leaseReached(lease_id, Date.now());
    if (data?.data?.key) this.#audit.reached(data.data.key, Date.now());
  }

  /** What a helper says, judged. @param mayFail An exit code that is right as well. */
  async ask(name: string, tally: Tally, mayFail?: (outcome: Outcome) => boolean): Promise<Outcome> {
    const askedAtMs = Date.now();
    const outcome = await runHelper([name], { ...this.env });
    this.judge(name, outcome, askedAtMs, tally, mayFail);
    return outcome;
  }

  judge(
    name: string,
    outcome: Outcome,
    askedAtMs: number,
    tally: Tally,
    mayFail?: (outcome: Outcome) => boolean,
  ): void {
    tally.answers += 1;
    const { code, stdout, stderr } = outcome;
    const tookMs = Date.now() - askedAtMs;
    const isStalled = stoodStill(askedAtMs, Date.now());
    if (isStalled) tally.stalled += 1;
    // The machine may be busy with another experiment.
    if (tookMs > LONGEST_HELPER_MS + 5_000 && !isStalled) tally.fault(`${name} took ${tookMs} ms`);
    if (code === 0) {
      const value = stdout.replace(/\n$/, '');
      const issued = this.vault.engines.issued.get(value);
      const lease = issued?.role === name ? issued.lease : undefined;
      const flaw = this.#audit.flawOf({ name, value, atMs: askedAtMs, isStalled }, lease);
      if (flaw !== undefined) tally.wrongKey(`${flaw}\n${this.logged().slice(-2_000)}`);
      return;
    }
    if (stdout !== '') tally.wrongKey(`${name}: something on stdout of a helper that failed`);
    if (mayFail?.(outcome) !== true && !isStalled)
      tally.lostAnswer(`${name}: ${code ?? outcome.signal} ${stderr.trim()}\n${this.logged().slice(-700)}`);
  }

  async askAll(tally: Tally): Promise<void> {
    await Promise.all(this.names.map((name) => this.ask(name, tally)));
  }

  /** Of the daemon that has the state folder; undefined: there is none. */
  get pid(): number | undefined {
    const pid = readLockHolder(this.state('lock'))?.pid;
    return pid !== undefined && isRunning(pid) ? pid : undefined;
  }

  /** Resolves when it is gone. */
  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const { pid } = this;
    if (pid === undefined) return;
    try {
      process.kill(pid, signal);
    } catch {
      // It went by itself.
    }
    await until(() => !isRunning(pid));
    this.noteEnd();
  }

  /** For the audit: the daemon ended in another way than by `end`. */
  noteEnd(): void {
    this.#audit.daemonEnded(Date.now());
  }

  async status(): Promise<StatusReport | undefined> {
    const { status, body } = await this.home.get('/v1/status').catch(() => ({ status: 0, body: '' }));
    return status === 200 ? (JSON.parse(body) as StatusReport) : undefined;
  }

  state(name: string): string {
    return join(this.home.stateDir, name);
  }

  /** Files in the state folder that no daemon should leave there. */
  leftOvers(): string[] {
    return readdirSync(this.home.stateDir).filter((name) => {
      return (
        !AT_REST.has(name) &&
        !/^(?:cache\.db|kek)\.(?:corrupt|replaced|discarded|newer|before)-|^broker\.log/.test(name)
      );
    });
  }

  /** See Audit: by what Vault has and what the daemon wrote down. */
  forgottenLeases(destroyedAtMs = 0): { readonly forgotten: string[]; readonly inFlight: number } {
    const journalled = readStored(this.home.stateDir, (database) =>
      database.prepare<[], { facts: string }>("SELECT facts FROM records WHERE kind = 'lease'").all(),
    ).map(({ facts }) => (JSON.parse(facts) as { readonly lease: { readonly id: string } }).lease.id);
    return this.#audit.forgotten(this.vault.leases, journalled, Date.now(), destroyedAtMs);
  }

  /** For whoever looks for the cause of a fault: the state folder as it is, log and database. @returns where. */
  keepEvidence(): string {
    const folder = join(KEPT, 'evidence', basename(this.home.folder));
    cpSync(this.home.stateDir, folder, { recursive: true });
    return folder;
  }

  /** What the daemon wrote down: a helper that starts one gives it no other place. */
  logged(): string {
    const file = this.state('broker.log');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  async close(): Promise<void> {
    await this.end();
    openRigs.delete(this);
    await this.home.close();
    await this.proxy.goDown();
    await this.vault.stop();
  }
}

/** What a launch record begins with is a path. */
function absolute(word: string, index: number): string {
  return index === 0 && !word.startsWith('/') ? `/usr/bin/${word}` : word;
}

const openRigs = new Set<Rig>();

const endings = new Set<() => void>();

/** What has to be done even if the campaign is cut short. @returns what takes that back. */
export function atTheEnd(ending: () => void): () => void {
  endings.add(ending);
  return () => void endings.delete(ending);
}

/** Whoever ends a campaign leaves no daemon behind. */
export function endAllDaemons(): void {
  for (const { pid } of openRigs) if (pid !== undefined) process.kill(pid, 'SIGKILL');
  for (const ending of endings) ending();
}

/** A rig for as long as `story` takes. */
export async function withRig<Result>(options: RigOptions, story: (rig: Rig) => Promise<Result>): Promise<Result> {
  const rig = await Rig.start(options);
  try {
    return await story(rig);
  } finally {
    await rig.close();
  }
}

/** Helpers that ask all the time, until it is stopped; resolves when the last has its answer. */
export function load(rig: Rig, tally: Tally, helpers: number): { readonly stop: () => Promise<void> } {
  let isOn = true;
  const loops = Array.from({ length: helpers }, async (_, index) => {
    for (let round = index; isOn; round += 1) await rig.ask(rig.names[round % rig.names.length] ?? '', tally);
  });
  return {
    stop: async () => {
      isOn = false;
      await Promise.all(loops);
    },
  };
}
