/** An item's place in a list, kept by the item itself, so that it is found and left without a search. */
export class Place<T> {
  readonly item: T;
  before: Place<T> | undefined;
  after: Place<T> | undefined;
  isTaken = false;
  /** For the list's owner. */
  deadlineMs = 0;

  constructor(item: T) {
    this.item = item;
  }
}

/**
 * A doubly linked list. Not a Set or a Map: with a connection per request, interleaved on one machine, collecting
 * garbage took a third less time and an answer 2 to 7 % less. Why a Map costs that was not found.
 */
export class LinkedList<T> {
  #first: Place<T> | undefined;
  #last: Place<T> | undefined;

  get first(): Place<T> | undefined {
    return this.#first;
  }

  push(place: Place<T>): void {
    this.delete(place);
    place.isTaken = true;
    place.before = this.#last;
    if (this.#last === undefined) this.#first = place;
    else this.#last.after = place;
    this.#last = place;
  }

  delete(place: Place<T>): void {
    if (!place.isTaken) return;
    const { before, after } = place;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    place.before = undefined;
    place.after = undefined;
    place.isTaken = false;
  }

  clear(): void {
    for (let place = this.#first; place !== undefined; place = this.#first) this.delete(place);
  }

  /** In order; at most `limit` of them. A copy: what is done with them may change the list. */
  items(limit = Number.POSITIVE_INFINITY): T[] {
    const items: T[] = [];
    for (let place = this.#first; place !== undefined && items.length < limit; place = place.after) {
      items.push(place.item);
    }
    return items;
  }
}
