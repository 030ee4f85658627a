import { create } from 'zustand';

/** Where the person is; which page that is stands in `pages/registry.tsx`. */
export const usePath = create<{ path: string }>(() => ({ path: location.pathname }));

function sync(): void {
  usePath.setState({ path: location.pathname });
}

addEventListener('popstate', sync);

/** Goes to a path of this site. */
export function navigate(path: string): void {
  if (path !== location.pathname) history.pushState(null, '', path);
  sync();
  scrollTo(0, 0);
}

/** The id of a broadcast: a positive integer that JavaScript holds exactly. Anything else names none. */
export function broadcastId(text: string): number | null {
  return /^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : null;
}

/** The id of a group, as the server writes them; anything else names none. */
export function groupId(text: string): string | null {
  return /^grp_[\w-]{1,60}$/.test(text) ? text : null;
}
