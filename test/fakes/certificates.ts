import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Whether certificates can be made here; where not, the tests that need them say so and are skipped. */
export const hasOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'pipe' });
    return true;
  } catch {
    console.warn('skipped: the TLS tests need the openssl command');
    return false;
  }
})();

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface Wanted {
  readonly commonName: string;
  readonly issuer?: Certificate;
  /** Default: a certificate for 127.0.0.1. */
  readonly altNames?: string;
  /** openssl's format, YYYYMMDDHHMMSSZ. */
  readonly validFrom?: string;
  readonly validUntil?: string;
  readonly isAuthority?: boolean;
}

/** Makes a key and a certificate with the openssl command, in `folder`. */
export function makeCertificate(folder: string, name: string, wanted: Wanted): Certificate {
  const certFile = join(folder, `${name}.pem`);
  const keyFile = join(folder, `${name}.key`);
  const extensions = join(folder, `${name}.cnf`);
  const constraint = `basicConstraints=critical,CA:${wanted.isAuthority === true ? 'TRUE' : 'FALSE'}`;
  const alt = wanted.isAuthority === true ? '' : `subjectAltName=${wanted.altNames ?? 'IP:127.0.0.1'}`;
  writeFileSync(extensions, `[req]\ndistinguished_name=dn\n[dn]\n[ext]\n${constraint}\n${alt}\n`);
  const csr = join(folder, `${name}.csr`);
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    'req',
    '-new',
    ...ec,
    '-keyout',
    keyFile,
    '-out',
    csr,
    '-subj',
    `/CN=${wanted.commonName}`,
    '-config',
    extensions,
  );
  const signer =
    wanted.issuer === undefined
      ? ['-signkey', keyFile]
      : ['-CA', wanted.issuer.certFile, '-CAkey', wanted.issuer.keyFile, '-CAcreateserial'];
  const life = wanted.validUntil === undefined ? ['-days', '2'] : [];
  openssl(
    'x509',
    '-req',
    '-in',
    csr,
    ...signer,
    '-out',
    certFile,
    '-extfile',
    extensions,
    '-extensions',
    'ext',
    ...life,
  );
  if (wanted.validUntil !== undefined) redate(folder, name, { certFile, keyFile, csr, extensions }, wanted);
  return { certFile, keyFile, cert: readFileSync(certFile), key: readFileSync(keyFile) };
}

/** Only `openssl ca` can sign for a time that has passed. */
function redate(
  folder: string,
  name: string,
  files: { certFile: string; keyFile: string; csr: string; extensions: string },
  { issuer, validFrom = '20200101000000Z', validUntil = '20200102000000Z' }: Wanted,
): void {
  const database = join(folder, `${name}.db`);
  writeFileSync(database, '');
  writeFileSync(`${database}.serial`, '01\n');
  const config = join(folder, `${name}.ca.cnf`);
  const policy = '[policy]\ncommonName=supplied\n';
  const section = `[ca]\ndefault_ca=own\n[own]\ndatabase=${database}\nserial=${database}.serial\nnew_certs_dir=${folder}\npolicy=policy\ndefault_md=sha256\n`;
  writeFileSync(config, `${section}${policy}`);
  const signer = ['-cert', issuer?.certFile ?? files.certFile, '-keyfile', issuer?.keyFile ?? files.keyFile];
  const dates = ['-startdate', validFrom, '-enddate', validUntil];
  const extension = ['-extfile', files.extensions, '-extensions', 'ext'];
  openssl(
    'ca',
    '-batch',
    '-config',
    config,
    ...signer,
    ...dates,
    ...extension,
    '-in',
    files.csr,
    '-out',
    files.certFile,
    '-notext',
  );
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' });
}
