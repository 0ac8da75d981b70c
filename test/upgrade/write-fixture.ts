/** `node test/upgrade/write-fixture.ts`: what this version leaves behind, for all later ones: see README.md. */
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import { MIGRATIONS } from '../../src/cache/migrations.ts';
import { BrokerHome } from '../fakes/daemon-process.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { ASKS, config, type Expected, PORT } from './fixture.ts';

const FOLDER = path.join(import.meta.dirname, `schema-${MIGRATIONS.length}`);
const MONTH_MS = 30 * 86_400_000;

async function prepareVault(): Promise<DevVault> {
  const vault = await DevVault.start({ nowMs: () => Date.now() });
  vault.policies.write('claude', ['secret/data/*', 'apikeys/creds/*', 'identity/oidc/token/*', 'sys/leases/*']);
  vault.kv.writeV2('secret/claude', {
    api_key: 'sk-fixture-static',
    access: 'AKIAFIXTURE',
    secret: 'fixture-secret',
    session: 'fixture-session',
  });
  const expires = new Date(Date.now() + MONTH_MS).toISOString();
  vault.kv.writeV2('secret/dated', { api_key: 'sk-fixture-dated', expires });
  vault.engines.role('dev', { ttlMs: MONTH_MS, maxTtlMs: 2 * MONTH_MS });
  vault.engines.oidcRole('dev', MONTH_MS);
  return vault;
}

/** The address in a configuration is part of what a stored key is bound to, so it must never change. */
async function answerAtPort(vault: DevVault): Promise<() => void> {
  const target = Number(new URL(vault.address).port);
  const server = createServer((socket) => {
    const onward = connect(target, '127.0.0.1');
    socket.pipe(onward).pipe(socket);
    for (const each of [socket, onward]) each.on('error', () => each.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(PORT, '127.0.0.1', resolve);
  });
  return () => server.close();
}

async function main(): Promise<void> {
  if (existsSync(FOLDER)) throw new Error(`${FOLDER} is there: what a released version wrote is never written again`);
  const vault = await prepareVault();
  const leave = await answerAtPort(vault);
  const text = config(
    vault.logins.appRole('laptop', { policies: ['claude'], ttlMs: 2 * MONTH_MS }, { bindSecretId: false }),
  );
  const home = new BrokerHome(text);
  try {
    writeFileSync(path.join(home.folder, 'key'), 'sk-fixture-command\n', { mode: 0o600 });
    const daemon = await home.start();
    const wroteAtMs = Date.now();
    const stdout: Record<string, string> = {};
    for (const ask of ASKS) {
      const answer = await home.key(ask);
      if (answer.code !== 0) throw new Error(`broker-key ${ask}: ${answer.stderr}`);
      stdout[ask] = answer.stdout;
    }
    await daemon.end('SIGTERM');
    mkdirSync(FOLDER);
    for (const name of ['cache.db', 'kek']) copyFileSync(path.join(home.stateDir, name), path.join(FOLDER, name));
    writeFileSync(path.join(FOLDER, 'config.toml'), text);
    writeFileSync(
      path.join(FOLDER, 'expected.json'),
      `${JSON.stringify({ wroteAtMs, stdout } satisfies Expected, null, 2)}\n`,
    );
  } finally {
    leave();
    await home.close();
    await vault.stop();
  }
  console.log(`wrote ${path.relative(process.cwd(), FOLDER)}`);
}

await main();
