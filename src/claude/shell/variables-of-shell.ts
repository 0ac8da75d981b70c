import type { TrackedAssignment } from './places.ts';
import { RELEVANT_VARIABLES } from './variables.ts';

interface Variable {
  readonly value: string | undefined;
  readonly isExported: boolean;
  /** What gave it its values since it was last unset: with the last one gone, the one before would count. */
  readonly places: readonly { readonly place: TrackedAssignment; readonly isCertain: boolean }[];
}

interface Setting {
  readonly value: string | undefined;
  readonly place: TrackedAssignment | undefined;
  readonly isExported: boolean;
  readonly isCertain: boolean;
}

/** The variables of a shell that is followed through its files. */
export class ShellVariables {
  readonly #variables = new Map<string, Variable>();
  /** Saved for the end of a function: what its own variables hide. */
  readonly #hidden: Map<string, Variable | undefined>[] = [];
  /** `set -a`. */
  exportsAll = false;

  constructor(known: Readonly<Record<string, string | undefined>>) {
    for (const [name, value] of Object.entries(known)) {
      if (value !== undefined) this.#variables.set(name, { value, isExported: true, places: [] });
    }
  }

  /** undefined: something may have set it, and nobody knows to what. What decides about the client begins unset. */
  readonly valueOf = (name: string): string | undefined => {
    const known = this.#variables.get(name);
    return known === undefined && RELEVANT_VARIABLES.has(name) ? '' : known?.value;
  };

  has(name: string): boolean {
    return this.#variables.has(name);
  }

  set(name: string, { value, place, isExported, isCertain }: Setting): void {
    const before = this.#variables.get(name);
    if (place !== undefined && isCertain && value !== undefined) place.value = value;
    this.#variables.set(name, {
      value: isCertain ? value : undefined,
      isExported: isExported || this.exportsAll || before?.isExported === true,
      places: [...(before?.places ?? []).slice(-20), ...(place === undefined ? [] : [{ place, isCertain }])],
    });
  }

  /** `export NAME`, `export -n NAME`. */
  setExported(name: string, isExported: boolean, isCertain: boolean): void {
    const before = this.#variables.get(name);
    if (before === undefined || (!isExported && !isCertain)) return;
    const places = before.isExported
      ? before.places
      : before.places.map((each) => ({ ...each, isCertain: each.isCertain && isCertain }));
    this.#variables.set(name, { ...before, isExported, places });
  }

  unset(name: string): void {
    this.#variables.delete(name);
  }

  /** A variable of the function that is running. */
  hide(name: string): void {
    const hidden = this.#hidden.at(-1);
    if (hidden === undefined || hidden.has(name)) return;
    hidden.set(name, this.#variables.get(name));
    this.#variables.delete(name);
  }

  /** Runs a function's body with room for variables of its own. */
  within(body: () => void): void {
    this.#hidden.push(new Map());
    body();
    for (const [name, variable] of this.#hidden.pop() ?? []) {
      if (variable === undefined) this.#variables.delete(name);
      else this.#variables.set(name, variable);
    }
  }

  /** Notes at every place what becomes of it: what is exported now is handed on to whatever the shell starts. */
  conclude(): void {
    for (const { isExported, places } of this.#variables.values()) {
      if (!isExported) continue;
      for (const { place, isCertain } of places) {
        if (isCertain) place.exported = 'yes';
        else if (place.exported === 'no') place.exported = 'perhaps';
      }
    }
  }
}
