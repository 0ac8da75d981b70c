import type { Question } from './question.ts';

/** Not asked: what HTTPS_PROXY and its like say of the address is taken (from-environment.ts). */
export const PROXY: Question = {
  flag: 'proxy',
  into: 'options',
  key: 'proxy',
  ask: 'Proxy to reach it through, or "direct"',
  example: 'http://proxy.example.com:3128',
};
