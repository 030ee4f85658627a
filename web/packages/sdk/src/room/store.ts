import type { Store } from './types.js';

/** A {@link Store} whose owner sets it. */
export class Value<T> implements Store<T> {
  private readonly listeners = new Set<() => void>();

  constructor(private current: T) {}

  readonly get = (): T => this.current;

  readonly subscribe = (listener: () => void): (() => void) => {
    // One function may be given twice: each has its own end.
    const own = (): void => listener();
    this.listeners.add(own);
    return () => this.listeners.delete(own);
  };

  /** Tells everybody, unless it is the same. */
  set(next: T): void {
    if (Object.is(next, this.current)) return;
    this.current = next;
    for (const listener of [...this.listeners]) listener();
  }

  /** Sets some fields; the same object stays where none of them is another one. */
  change(fields: Partial<T>): void {
    const current = this.current;
    const differs = (Object.keys(fields) as (keyof T)[]).some((key) => !Object.is(fields[key], current[key]));
    if (differs) this.set({ ...current, ...fields });
  }
}
