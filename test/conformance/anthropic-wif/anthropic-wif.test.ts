import { describeProvider } from '../provider-suite.ts';
import { WifHarness } from './wif-harness.ts';

describeProvider('anthropic-wif', new WifHarness());
