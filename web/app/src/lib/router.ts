import { create } from 'zustand';

/** Where the person is; which page that is stands in `pages/registry.tsx`. */
export const usePath = create<{ path: string; search: string }>(() => ({
  path: location.pathname,
  search: location.search,
}));

function sync(): void {
  usePath.setState({ path: location.pathname, search: location.search });
}

addEventListener('popstate', sync);

/** Goes to a path of this site, which may have a query. */
export function navigate(to: string): void {
  const path = location.pathname;
  if (to !== path + location.search) history.pushState(null, '', to);
  sync();
  // A list that is asked something else stays where it is.
  if (location.pathname !== path) scrollTo(0, 0);
}

/** Goes to a path of this site in place of the present one: going back leads to where the person was before. */
export function replace(to: string): void {
  history.replaceState(null, '', to);
  sync();
}

/** The id of a broadcast: a positive integer that JavaScript holds exactly. Anything else names none. */
export function broadcastId(text: string): number | null {
  return /^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : null;
}

/** The id of a group, as the server writes them; anything else names none. */
export function groupId(text: string): string | null {
  return /^grp_[\w-]{1,60}$/.test(text) ? text : null;
}
