/** Another client of the machine that can run `broker-key`; read and judged by src/clients, told by the doctor. */
export interface OtherClient {
  /** With what it is started with, where that decides. */
  readonly name: string;
  /** What was read; undefined: it has no file. */
  readonly file: string | undefined;
  /** What its requests carry, in a few words. */
  readonly uses: string;
  readonly asksBroker: boolean;
  /** That it asks for; undefined: the default one, or none. */
  readonly credential: string | undefined;
  readonly traps: readonly OtherTrap[];
}

/** What stands in its way. */
export interface OtherTrap {
  readonly id:
    | 'client-config-broken'
    | 'client-not-selected'
    | 'client-managed'
    | 'client-key-conflict'
    | 'client-helper-missing'
    | 'client-key-refused'
    | 'client-impatient';
  /** About what, in words that hold no secret. */
  readonly detail: string;
  readonly remedy: string;
  readonly where?: string;
}
