import type { SecretFields } from '../../src/cache/cache.ts';
import type { KeyVersion } from '../../src/credential/key.ts';
import type { Lease, Login } from '../../src/credential/life.ts';
import { SecretBytes } from '../../src/credential/secret.ts';

export const NOW = 1_750_000_000_000;

export const secret = (text: string): SecretFields => new Map([['value', SecretBytes.fromString(text)]]);

export function keyVersion(credential: string, changes: Partial<KeyVersion> = {}): KeyVersion {
  return {
    credential,
    sourceFingerprint: 'source-1',
    version: '7',
    digest: `digest of ${credential}`,
    issuedAtMs: NOW - 1_000,
    confirmedAtMs: NOW - 500.25,
    expiresAtMs: NOW + 3_600_000,
    expirySource: 'field',
    ttlMs: 900_000,
    lease: undefined,
    isJwt: false,
    ...changes,
  };
}

export const lease = (id: string, changes: Partial<Lease> = {}): Lease => ({
  id,
  issuedAtMs: NOW,
  expiresAtMs: NOW + 60_000,
  renewable: true,
  maxExpiresAtMs: undefined,
  loginId: 'login-1',
  ...changes,
});

export const login = (id: string, changes: Partial<Login> = {}): Login => ({
  id,
  issuedAtMs: NOW,
  expiresAtMs: NOW + 60_000,
  grantedMs: 60_000,
  renewable: true,
  maxExpiresAtMs: NOW + 600_000,
  ours: true,
  ...changes,
});
