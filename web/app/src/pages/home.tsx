import { type ReactNode, useEffect, useId } from 'react';
import { BroadcastCard, CardSkeleton } from '../components/broadcast-card';
import { Featured } from '../components/featured';
import { CameraIcon, SearchIcon } from '../components/icons';
import { Link } from '../components/link';
import { Message, Notice } from '../components/message';
import { useRevivals } from '../lib/hooks';
import { ask, followCatalogue, listingOf, load, useCatalogue } from '../store/catalogue';
import type { Listing } from '@madang/sdk';
import type { Filter, Sort } from '../store/deltas';
import { t } from '../texts';

const FILTERS: readonly [Filter, string][] = [
  ['all', t.filterAll],
  ['STREAMING', t.filterLive],
  ['READY', t.filterReady],
  ['CLOSED', t.filterEnded],
];
const SKELETONS = 8;

/** The list of broadcasts, with the most watched one playing. */
export function HomePage(): ReactNode {
  const revivals = useRevivals();
  useEffect(() => followCatalogue(), [revivals]);
  const phase = useCatalogue((state) => state.phase);
  const featured = useCatalogue((state) => state.featured);
  return (
    <div className="page home">
      {featured === null ? (
        <Hero quiet={phase === 'loading'} />
      ) : (
        <>
          <h1 className="visually-hidden">{t.heroTitle}</h1>
          <Featured id={featured} key={featured} />
        </>
      )}
      <section aria-labelledby="list-title" className="catalogue">
        <div className="catalogue-head">
          <h2 id="list-title">{t.homeHeading}</h2>
          <Tools />
        </div>
        <Worth />
        <List />
      </section>
    </div>
  );
}

function Hero({ quiet }: { quiet: boolean }): ReactNode {
  return (
    <section className="hero">
      <h1>{t.heroTitle}</h1>
      <p>{t.heroText}</p>
      {quiet ? null : (
        <Link to="/studio" className="button primary large">
          <CameraIcon />
          {t.goLive}
        </Link>
      )}
    </section>
  );
}

const WORTH: Readonly<Record<Exclude<Listing, 'current'>, string>> = {
  old: t.listOld,
  'server-away': t.listServerAway,
  offline: t.listOffline,
};

/** Says that the list may have changed, while nobody would tell. */
function Worth(): ReactNode {
  const worth = useCatalogue(listingOf);
  const listed = useCatalogue((state) => state.phase === 'ready');
  if (worth === 'current' || !listed) return null;
  return (
    <Notice tone="info" testId="list-worth">
      {WORTH[worth]}
    </Notice>
  );
}

function Tools(): ReactNode {
  const query = useCatalogue((state) => state.query);
  const filter = useCatalogue((state) => state.filter);
  const sort = useCatalogue((state) => state.sort);
  const group = useId();
  return (
    <div className="tools" role="search">
      <label className="search">
        <SearchIcon />
        <span className="visually-hidden">{t.search}</span>
        <input
          type="search"
          value={query}
          maxLength={100}
          placeholder={t.searchPlaceholder}
          onChange={(event) => ask({ query: event.target.value })}
          data-testid="search"
        />
      </label>
      <fieldset className="segments">
        <legend className="visually-hidden">{t.filter}</legend>
        {FILTERS.map(([value, label]) => (
          <label key={value}>
            <input
              type="radio"
              name={group}
              checked={filter === value}
              onChange={() => ask({ filter: value })}
            />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
      <label className="select-wrap">
        <span className="visually-hidden">{t.sort}</span>
        <select
          className="select"
          value={sort}
          onChange={(event) => ask({ sort: event.target.value as Sort })}
        >
          <option value="newest">{t.sortNewest}</option>
          <option value="viewers">{t.sortViewers}</option>
        </select>
      </label>
    </div>
  );
}

function List(): ReactNode {
  const phase = useCatalogue((state) => state.phase);
  const order = useCatalogue((state) => state.order);
  const asked = useCatalogue((state) => state.query.trim() !== '' || state.filter !== 'all');
  if (phase === 'loading') {
    return (
      <ul className="grid" aria-label={t.loading} aria-busy="true">
        {Array.from({ length: SKELETONS }, (_, index) => (
          <CardSkeleton key={index} />
        ))}
      </ul>
    );
  }
  if (phase === 'error') {
    return (
      <Message art="alert" title={t.listErrorTitle} hint={t.listErrorHint} testId="list-error">
        <button type="button" className="button primary" onClick={() => void load()}>
          {t.retry}
        </button>
      </Message>
    );
  }
  if (order.length === 0 && asked) {
    return (
      <Message art="courtyard" title={t.emptySearchTitle} hint={t.emptySearchHint} testId="empty-search">
        <button type="button" className="button" onClick={() => ask({ query: '', filter: 'all' })}>
          {t.clearSearch}
        </button>
      </Message>
    );
  }
  if (order.length === 0) {
    return (
      <Message art="courtyard" title={t.emptyTitle} hint={t.emptyHint} testId="empty">
        <Link to="/studio" className="button primary">
          {t.goLive}
        </Link>
      </Message>
    );
  }
  return (
    <ul className="grid" data-testid="broadcasts">
      {order.map((id) => (
        <BroadcastCard id={id} key={id} />
      ))}
    </ul>
  );
}
