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
  /** The one outside all functions and blocks is meant, also where one of the same name hides it. */
  readonly isGlobal?: boolean;
}

/** What a function or a block hides: its variables end with it. */
interface Scope {
  readonly kind: 'function' | 'block';
  readonly hidden: Map<string, Variable | undefined>;
}

/** The variables of a shell that is followed through its files. */
export class ShellVariables {
  readonly #variables = new Map<string, Variable>();
  readonly #scopes: Scope[] = [];
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

  set(name: string, { value, place, isExported, isCertain, isGlobal = false }: Setting): void {
    const outermost = isGlobal ? this.#scopes.find(({ hidden }) => hidden.has(name))?.hidden : undefined;
    const variables = outermost ?? this.#variables;
    const before = variables.get(name);
    if (place !== undefined && isCertain && value !== undefined) place.value = value;
    variables.set(name, {
      // `[ -n "$DIR" ] || DIR=…`: whoever has not set it before has it from here.
      value: isCertain || before?.value === undefined ? value : undefined,
      isExported: isExported || this.exportsAll || before?.isExported === true,
      places: [...(before?.places ?? []).slice(-20), ...(place === undefined ? [] : [{ place, isCertain }])],
    });
  }

  /** All that a file without commands sets: it is for every process. */
  inherit(places: readonly TrackedAssignment[], isCertain = true): void {
    for (const place of places) this.set(place.name, { value: place.value, place, isExported: true, isCertain });
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

  /** A variable of the function or block that is running. */
  hide(name: string, kind: Scope['kind'] = 'block'): void {
    const scope = kind === 'block' ? this.#scopes.at(-1) : this.#scopes.findLast((each) => each.kind === kind);
    if (scope === undefined || scope.hidden.has(name)) return;
    scope.hidden.set(name, this.#variables.get(name));
    this.#variables.delete(name);
  }

  get isInFunction(): boolean {
    return this.#scopes.some(({ kind }) => kind === 'function');
  }

  /** Runs a function's or a block's body with room for variables of its own. */
  within(kind: Scope['kind'], body: () => void): void {
    const scope: Scope = { kind, hidden: new Map() };
    this.#scopes.push(scope);
    body();
    this.#scopes.pop();
    for (const [name, variable] of scope.hidden) {
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
