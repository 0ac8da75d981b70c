import type { AwsJsonServer, Behaviour } from '../../fakes/aws-json-server.ts';
import type { DevVault } from '../../fakes/dev-vault/dev-vault.ts';
import type { TokenExchangeServer } from '../../fakes/token-exchange.ts';
import type { TokenBehaviour, TokenServer } from '../../fakes/token-server.ts';

/** How the broker has to take it; `unusable`: it is misconfigured in the one way that has an exit code of its own. */
export type Verdict = 'served' | 'transient' | 'login-expired' | 'denied' | 'gone' | 'misconfigured' | 'unusable';

/** One thing that a provider may answer, or that may stand in its place. */
export interface Answer {
  readonly name: string;
  readonly verdict: Verdict;
  /** Makes it so for a provider and a credential of this name, and says how they are configured. */
  arrange(stage: AnswerStage, name: string): Configured;
}

/** The TOML under `[providers.NAME]` (tables under it included) and under `[credentials.NAME]`. */
export interface Configured {
  readonly provider: string;
  readonly credential: string;
}

export interface AnswerStage {
  readonly vault: DevVault;
  /** Vaults whose certificates nobody should trust, by what is wrong with them; empty where none can be made. */
  readonly untrusted: ReadonlyMap<string, DevVault>;
  readonly aws: AwsJsonServer;
  /** Anthropic's token endpoint. */
  readonly federation: TokenExchangeServer;
  readonly tokenServer: TokenServer;
  /** What the identity provider answers to this client. */
  readonly tokenAnswers: Map<string, TokenBehaviour>;
  /** What AWS answers when this secret or parameter is read. */
  readonly awsAnswers: Map<string, Behaviour>;
  /** Trusted authority of `untrusted`, a PEM file. */
  readonly authorityFile: string;
  /** A private file with this content. */
  file(name: string, content: string): string;
}
