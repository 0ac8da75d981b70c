import { closeSync } from 'node:fs';
import type { NativeBindings } from './native.ts';
import type { ProcessReader } from './process-tree.ts';

/** Looks at processes through the addon. */
export function nativeProcessReader(native: NativeBindings): ProcessReader {
  return {
    processParent: (pid) => native.processParent(pid),
    processInfo: (pid) => native.processInfo(pid),
    parentPid: (pid) => native.parentPid(pid),
    processGroup: (pid) => native.processGroup(pid),
    hold: ({ pid, startTime }) => {
      const fd = native.openProcess(pid);
      if (fd < 0) return undefined;
      // Only from now on does the pid mean nobody else: before, it may have changed hands.
      if (native.processParent(pid)?.startTime !== startTime) {
        closeSync(fd);
        return undefined;
      }
      return { hasExited: () => native.hasExited(fd), release: () => closeSync(fd) };
    },
  };
}
