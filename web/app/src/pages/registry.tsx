import { type ComponentType, lazy, type ReactNode } from 'react';
import { CallLink } from '../components/call-link';
import { StudioLink } from '../components/studio-link';
import { broadcastId, groupId } from '../lib/router';
import { t } from '../texts';

/**
 * The pages. What the site has to know of a page is here and nowhere else: its path, its title, what leads to it, and
 * its code, which is loaded when somebody goes there. The server has a list of the same paths (`crates/pages`), so that
 * it can say 404.
 */

/** A page of the site. */
export interface Page {
  /** Names it in `data-page`. */
  name: string;
  /** Title of the tab; pages with more to say set their own. */
  title: string;
  /** Nothing of the site is around it. */
  bare?: boolean;
  /** Its header has the search. */
  hasSearch?: boolean;
  /** What leads to it from the header of the others. */
  Lead?: ComponentType;
  /** What is shown at a path, by its parts; null where the path is another page's. */
  view: (parts: readonly string[]) => ReactNode;
  /** Loads its code ahead. */
  load: () => void;
}

/** One page, whose path says what it needs to know. */
function page<Props extends object>(description: {
  name: string;
  title?: string;
  bare?: boolean;
  hasSearch?: boolean;
  Lead?: ComponentType;
  path: (...parts: string[]) => Props | null;
  code: () => Promise<ComponentType<Props>>;
}): Page {
  const { path, code, title = '', ...rest } = description;
  const load = async (): Promise<{ default: ComponentType<Props> }> => ({ default: await code() });
  const View = lazy(load) as ComponentType<Props>;
  const view = (parts: readonly string[]): ReactNode => {
    const props = path(...parts);
    return props === null ? null : <View {...props} />;
  };
  // What cannot be loaded ahead is loaded, and named if it fails, when somebody goes there.
  return { ...rest, title, view, load: () => void load().catch(() => undefined) };
}

export const PAGES: readonly Page[] = [
  page({
    name: 'home',
    title: t.homeTitle,
    hasSearch: true,
    path: (...parts) => (parts.length === 0 ? {} : null),
    code: async () => (await import('./home')).HomePage,
  }),
  page({
    name: 'studio',
    title: t.studioTitle,
    Lead: StudioLink,
    path: (...parts) => (parts.length === 1 && parts[0] === 'studio' ? {} : null),
    code: async () => (await import('./studio')).StudioPage,
  }),
  page({
    name: 'watch',
    path: (first, text = '', ...rest) => {
      const id = first === 'watch' && rest.length === 0 ? broadcastId(text) : null;
      return id === null ? null : { id };
    },
    code: async () => (await import('./watch')).WatchPage,
  }),
  page({
    name: 'embed',
    bare: true,
    path: (first, text = '', ...rest) => {
      const id = first === 'embed' && rest.length === 0 ? broadcastId(text) : null;
      return id === null ? null : { id };
    },
    code: async () => (await import('./embed')).EmbedPage,
  }),
  page({
    name: 'call',
    title: t.callTitle,
    Lead: CallLink,
    path: (first, text = '', ...rest) => {
      const group = first === 'call' && rest.length === 0 ? groupId(text) : null;
      return group === null ? null : { group };
    },
    code: async () => (await import('./call/page')).CallPage,
  }),
];

/** The page of a path and what it shows; null where there is none. */
export function pageAt(path: string): { page: Page; view: ReactNode } | null {
  const parts = path.split('/').filter((part) => part !== '');
  for (const candidate of PAGES) {
    const view = candidate.view(parts);
    if (view !== null) return { page: candidate, view };
  }
  return null;
}
