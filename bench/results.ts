/** One thing that was promised, and what came of it. */
export interface Target {
  readonly what: string;
  readonly value: number;
  readonly limit: number;
  readonly sense: 'at most' | 'at least';
  readonly unit: string;
}

export interface Table {
  readonly heads: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface Plot {
  /** Its file is `report-NAME.svg`. */
  readonly name: string;
  readonly caption: string;
  readonly svg: string;
}

/** A figure that `bench:gate` compares with the last committed one. Ratios only: they carry over between machines. */
export interface Ratio {
  readonly value: number;
  readonly better: 'lower' | 'higher';
}

export interface Section {
  readonly title: string;
  /** How it was measured, and what the reader has to know to believe it. */
  readonly words: readonly string[];
  readonly tables: readonly Table[];
  readonly targets: readonly Target[];
  readonly plots: readonly Plot[];
  readonly ratios: Readonly<Record<string, Ratio>>;
  /** Every figure behind the tables, for the JSON. */
  readonly figures: unknown;
}

export interface Report {
  readonly machine: readonly string[];
  readonly takenAt: string;
  readonly quick: boolean;
  readonly sections: readonly Section[];
}

export function isMet({ value, limit, sense }: Target): boolean {
  return sense === 'at most' ? value <= limit : value >= limit;
}
