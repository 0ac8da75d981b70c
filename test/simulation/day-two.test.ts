import { describeDays } from './day-suite.ts';

describeDays(1_100, 100);
