import { describeProvider } from '../provider-suite.ts';
import { ExecHarness } from './exec-harness.ts';

describeProvider('exec', new ExecHarness());
