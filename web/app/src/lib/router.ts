import { create } from 'zustand';

/** Where the person is. */
export type Route =
  { page: 'home' } | { page: 'studio' } | { page: 'watch'; id: number } | { page: 'not-found' };

/** The route of a path. */
export function parseRoute(path: string): Route {
  const parts = path.split('/').filter((part) => part !== '');
  if (parts.length === 0) return { page: 'home' };
  if (parts.length === 1 && parts[0] === 'studio') return { page: 'studio' };
  const [first, id = ''] = parts;
  // Ids are positive integers that JavaScript holds exactly; anything else names no broadcast.
  if (
    parts.length === 2 &&
    first === 'watch' &&
    /^[1-9]\d{0,15}$/.test(id) &&
    Number.isSafeInteger(Number(id))
  ) {
    return { page: 'watch', id: Number(id) };
  }
  return { page: 'not-found' };
}

/** The current route. */
export const useRoute = create<{ route: Route; path: string }>(() => ({
  route: parseRoute(location.pathname),
  path: location.pathname,
}));

function sync(): void {
  useRoute.setState({ route: parseRoute(location.pathname), path: location.pathname });
}

addEventListener('popstate', sync);

/** Goes to a path of this site. */
export function navigate(path: string): void {
  if (path !== location.pathname) history.pushState(null, '', path);
  sync();
  scrollTo(0, 0);
}
