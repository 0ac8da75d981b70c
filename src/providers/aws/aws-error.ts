import type { AwsOptions } from './options.ts';

/** What a call was about, for messages. */
export interface Subject {
  readonly provider: string;
  /** As in `the secret "prod/litellm"`. */
  readonly secret: string;
  readonly options: AwsOptions;
}

/** An error of the SDK as far as it can be told from outside; any part may be missing. */
export interface AwsError {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
}
