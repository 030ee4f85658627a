import { createContext, type Provider, use } from 'react';
import { type StoreApi, useStore } from 'zustand';

/** Something with a state of its own of which a page may have several: a room, a broadcast that is watched. */
export interface Instance<State> {
  readonly store: StoreApi<State>;
}

/** How parts of a page reach the instance that they belong to. */
export interface InstanceContext<State, Of extends Instance<State>> {
  /** Says to which instance everything inside belongs. */
  Provider: Provider<Of | null>;
  /** The instance. */
  useInstance: () => Of;
  /** What `select` makes of the instance's state; draws again when that is another value. */
  useSelected: <Selected>(select: (state: State) => Selected) => Selected;
}

/** A context for instances; `name` is for the error where a part stands outside of any. */
export function createInstanceContext<State, Of extends Instance<State>>(
  name: string,
): InstanceContext<State, Of> {
  const Context = createContext<Of | null>(null);
  const useInstance = (): Of => {
    const instance = use(Context);
    if (instance === null) throw new Error(`no ${name} around this part of the page`);
    return instance;
  };
  const useSelected = <Selected>(select: (state: State) => Selected): Selected =>
    useStore(useInstance().store, select);
  return { Provider: Context.Provider, useInstance, useSelected };
}
