import type { Store } from '@madang/sdk';

/** A value that changes, and who is told. */
export class Value<T> implements Store<T> {
  private readonly listeners = new Set<() => void>();

  constructor(private current: T) {}

  readonly get = (): T => this.current;

  readonly subscribe = (listener: () => void): (() => void) => {
    const own = (): void => listener();
    this.listeners.add(own);
    return () => this.listeners.delete(own);
  };

  set(next: T): void {
    if (Object.is(next, this.current)) return;
    this.current = next;
    for (const listener of [...this.listeners]) listener();
  }
}
