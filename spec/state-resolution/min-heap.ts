/** A binary heap whose order is given by a function. */
export class MinHeap<T> {
  readonly #items: T[] = [];
  readonly #isLess: (a: T, b: T) => boolean;

  constructor(isLess: (a: T, b: T) => boolean) {
    this.#isLess = isLess;
  }

  push(item: T): void {
    const items = this.#items;
    let index = items.length;
    items.push(item);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#isLess(item, items[parent]!)) break;
      items[index] = items[parent]!;
      index = parent;
    }
    items[index] = item;
  }

  /** Removes the least item; `undefined` when there is none. */
  pop(): T | undefined {
    const items = this.#items;
    const least = items[0];
    const moved = items.pop();
    if (moved === undefined || items.length === 0) return least;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && this.#isLess(items[child + 1]!, items[child]!)) child += 1;
      if (!this.#isLess(items[child]!, moved)) break;
      items[index] = items[child]!;
      index = child;
    }
    items[index] = moved;
    return least;
  }
}
