import { useCallback, useSyncExternalStore } from 'react';
import { useShallow } from 'zustand/react/shallow';
import type { Store } from '@madang/sdk';

/** The value of a store; draws again when it is another one. */
export function useStoreValue<T>(store: Store<T>): T;
/** What `select` makes of a store's value; draws again when that is not the same, nor the same one level deep. */
export function useStoreValue<T, Selected>(store: Store<T>, select: (value: T) => Selected): Selected;
export function useStoreValue<T>(store: Store<T>, select: (value: T) => unknown = itself): unknown {
  const subscribe = useCallback((listener: () => void) => store.subscribe(listener), [store]);
  const selected = useShallow(select);
  // What is compared one level deep is taken for changed only if it is: a store's own value counts by identity.
  const get = (): unknown => (select === itself ? store.get() : selected(store.get()));
  return useSyncExternalStore(subscribe, get, get);
}

function itself(value: unknown): unknown {
  return value;
}
