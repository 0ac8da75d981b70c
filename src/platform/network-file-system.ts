import { statfsSync } from 'node:fs';

/** `f_type` of statfs(2) on Linux: file systems whose locks and shared memory other machines do not see. */
const NETWORK_TYPES: ReadonlySet<number> = new Set([
  0x6969, // NFS
  0x517b, // SMB
  0xff534d42, // CIFS
  0xfe534d42, // SMB 2
  0x5346414f, // AFS
  0x6b414653, // kAFS
  0x73757245, // Coda
  0x01021997, // 9p, as WSL mounts Windows folders
  0x00c36400, // Ceph
  0x0bd00bd0, // Lustre
  0x47504653, // GPFS
  0x19830326, // BeeGFS
]);

/** Whether a folder that exists lies on another machine; false where the system does not say. */
export function isOnNetwork(folder: string): boolean {
  try {
    // A signed 32-bit number on some architectures.
    return NETWORK_TYPES.has(Number(BigInt.asUintN(32, BigInt(statfsSync(folder).type))));
  } catch {
    return false;
  }
}
