import type { HeldProcess, ParentFacts, ProcessFacts, ProcessReader } from './process-tree.ts';

/** Looks at each process once per question: reading /proc is the dearest part of telling who asks. */
export class ProcessSnapshot implements ProcessReader {
  readonly #reader: ProcessReader;
  /** Two or three: the helper, whoever ran it, and perhaps a shell in between. */
  readonly #seen: { readonly pid: number; readonly facts: ParentFacts | undefined }[] = [];

  constructor(reader: ProcessReader) {
    this.#reader = reader;
  }

  /** To be called before the next question: by then everything may have changed. */
  discard(): void {
    this.#seen.length = 0;
  }

  processParent(pid: number): ParentFacts | undefined {
    const known = this.#seen.find((each) => each.pid === pid);
    if (known !== undefined) return known.facts;
    const facts = this.#reader.processParent(pid);
    this.#seen.push({ pid, facts });
    return facts;
  }

  processInfo(pid: number): ProcessFacts | undefined {
    return this.#reader.processInfo(pid);
  }

  parentPid(pid: number): number {
    return this.#reader.parentPid?.(pid) ?? this.processParent(pid)?.ppid ?? 0;
  }

  processGroup(pid: number): number {
    return this.#reader.processGroup?.(pid) ?? this.processParent(pid)?.processGroup ?? 0;
  }

  hold(process: { readonly pid: number; readonly startTime: string }): HeldProcess | undefined {
    return this.#reader.hold?.(process);
  }
}
