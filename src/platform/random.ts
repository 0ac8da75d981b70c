/** A source of numbers in [0, 1) for jitter; never for secrets. Tests and simulations hand in a seeded one. */
export type Random = () => number;

export const systemRandom: Random = () => Math.random();
