import { closeSync } from 'node:fs';
import type { NativeBindings } from './native.ts';
import type { ProcessReader } from './process-tree.ts';

/** Looks at processes through the addon. What the kernel refuses to tell counts as hidden: whoever asks cannot tell either. */
export function nativeProcessReader(native: NativeBindings): ProcessReader {
  return {
    processParent: (pid) => orHidden(() => native.processParent(pid), undefined),
    processInfo: (pid) => orHidden(() => native.processInfo(pid), undefined),
    parentPid: (pid) => orHidden(() => native.parentPid(pid), 0),
    processGroup: (pid) => orHidden(() => native.processGroup(pid), 0),
    hold: ({ pid, startTime }) => {
      const fd = orHidden(() => native.openProcess(pid), -1);
      if (fd < 0) return undefined;
      // Only from now on does the pid mean nobody else: before, it may have changed hands.
      if (orHidden(() => native.processParent(pid), undefined)?.startTime !== startTime) {
        closeSync(fd);
        return undefined;
      }
      return { hasExited: () => orHidden(() => native.hasExited(fd), true), release: () => closeSync(fd) };
    },
  };
}

function orHidden<T>(look: () => T, hidden: T): T {
  try {
    return look();
  } catch {
    return hidden;
  }
}
