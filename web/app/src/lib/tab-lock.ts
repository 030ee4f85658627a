/** The page before a reload lets go of its lock within this time. */
const LOCK_MS = 3_000;

/**
 * Makes this tab the only one that has `name`; null if another tab has it. A duplicated tab has a copy of all that the
 * first one keeps. Browsers without locks, and plain-HTTP pages, go on without.
 */
export function tabLock(name: string): Promise<(() => void) | null> {
  const locks = navigator.locks as LockManager | undefined;
  if (locks === undefined) return Promise.resolve(() => undefined);
  return new Promise((resolve) => {
    locks
      .request(name, { signal: AbortSignal.timeout(LOCK_MS) }, () => {
        return new Promise<void>((release) => resolve(() => release()));
      })
      .catch(() => resolve(null));
  });
}
