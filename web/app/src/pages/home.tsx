import { type ReactNode, useEffect, useRef } from 'react';
import { BroadcastCard, CallCard, CardSkeleton } from '../components/broadcast-card';
import { Featured, FeaturedSkeleton } from '../components/featured';
import { CameraIcon } from '../components/icons';
import { Link } from '../components/link';
import { Message, Notice } from '../components/message';
import { useServer } from '../lib/api';
import { useRevivals } from '../lib/hooks';
import { addressOf, type Question, questionOf, type Show } from '../lib/question';
import { usePath } from '../lib/router';
import { ask, followCatalogue, listingOf, load, loadMore, useCatalogue } from '../store/catalogue';
import type { Listing } from '@madang/sdk';
import type { ListName } from '../store/deltas';
import { t } from '../texts';

const SKELETONS = 8;
/** The next page of a list is asked for when its end is this near. */
const AHEAD = '600px';

/** The lists of broadcasts, with the most watched one playing. */
export function HomePage(): ReactNode {
  const revivals = useRevivals();
  const search = usePath((state) => state.search);
  const question = questionOf(search);
  // Before it is followed: the first thing that is asked for is what the address says.
  useEffect(() => ask(questionOf(search)), [search]);
  useEffect(() => followCatalogue(), [revivals]);
  const overview = question.show === 'live' && question.query === '';
  return (
    <div className="page home">
      {overview ? <Top /> : <h1 className="visually-hidden">{t.homeHeading}</h1>}
      <div className="catalogue">
        <Tabs question={question} />
        <Worth />
        <h2 className="visually-hidden">{TABS.find(([show]) => show === question.show)?.[1]}</h2>
        {question.show === 'calls' ? <Calls /> : <Broadcasts name={question.show} question={question} />}
        {question.show === 'live' ? <Below query={question.query} /> : null}
      </div>
    </div>
  );
}

/** What is on top: always as high, so that nothing below moves when it is known. */
function Top(): ReactNode {
  const loading = useCatalogue((state) => state.phase === 'loading' && state.lists.live.ids.length === 0);
  const featured = useCatalogue((state) => state.featured);
  return (
    <div className="home-top">
      {featured !== null ? (
        <>
          <h1 className="visually-hidden">{t.heroTitle}</h1>
          <Featured id={featured} key={featured} />
        </>
      ) : loading ? (
        <FeaturedSkeleton />
      ) : (
        <section className="hero">
          <h1>{t.heroTitle}</h1>
          <p>{t.heroText}</p>
          <Link to="/studio" className="button primary large">
            <CameraIcon />
            {t.goLive}
          </Link>
        </section>
      )}
    </div>
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

const TABS: readonly [Show, string][] = [
  ['live', t.listLive],
  ['upcoming', t.listUpcoming],
  ['ended', t.listEnded],
  ['calls', t.listCalls],
];

/** The lists to choose from. Each has an address of its own. */
function Tabs({ question }: { question: Question }): ReactNode {
  const dev = useServer((state) => state.config?.dev ?? false);
  return (
    <nav className="segments" aria-label={t.filter}>
      {TABS.map(([show, label]) =>
        // Elsewhere the server tells nobody which calls there are: who knows a link is invited.
        show === 'calls' && !dev ? null : (
          <Link
            key={show}
            to={addressOf({ ...question, show })}
            current={show === question.show}
            testId={`show-${show}`}
          >
            {label}
          </Link>
        ),
      )}
    </nav>
  );
}

/** The list that was asked for. */
function Broadcasts({ name, question }: { name: ListName; question: Question }): ReactNode {
  const phase = useCatalogue((state) => state.phase);
  const ids = useCatalogue((state) => state.lists[name].ids);
  if (phase === 'error') {
    return (
      <Message art="alert" title={t.listErrorTitle} hint={t.listErrorHint} testId="list-error">
        <button type="button" className="button primary" onClick={() => void load()}>
          {t.retry}
        </button>
      </Message>
    );
  }
  if (ids.length === 0 && phase === 'loading') {
    return (
      <ul className="grid" aria-label={t.loading} aria-busy="true">
        {Array.from({ length: SKELETONS }, (_, index) => (
          <CardSkeleton key={index} />
        ))}
      </ul>
    );
  }
  if (ids.length === 0) return <Nothing name={name} question={question} />;
  return (
    <>
      <ul className="grid" aria-busy={phase === 'loading'} data-testid="broadcasts">
        {ids.map((id) => (
          <BroadcastCard id={id} key={id} />
        ))}
      </ul>
      <More name={name} />
    </>
  );
}

/** The end of the loaded part: the next page is loaded when somebody comes near, or presses the button. */
function More({ name }: { name: ListName }): ReactNode {
  const next = useCatalogue((state) => state.lists[name].next);
  const more = useCatalogue((state) => state.more);
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = end.current;
    if (element === null || next === null || more !== 'idle') return;
    const watch = new IntersectionObserver(
      (entries) => {
        if (entries.some(({ isIntersecting }) => isIntersecting)) void loadMore();
      },
      { rootMargin: `0px 0px ${AHEAD} 0px` },
    );
    watch.observe(element);
    return () => watch.disconnect();
  }, [next, more]);
  if (next === null) return null;
  return (
    <div className="more" ref={end}>
      {more === 'failed' ? <p role="alert">{t.moreFailed}</p> : null}
      <button
        type="button"
        className="button"
        disabled={more === 'loading'}
        onClick={() => void loadMore()}
        data-testid="more"
      >
        {more === 'loading' ? <span className="spinner small" /> : null}
        {more === 'loading' ? t.loadingMore : more === 'failed' ? t.retry : t.loadMore}
      </button>
    </div>
  );
}

/** Nothing in the list: why, and what else there is. */
function Nothing({ name, question }: { name: ListName; question: Question }): ReactNode {
  if (question.query !== '') {
    return (
      <Message
        art="courtyard"
        title={t.emptySearchTitle}
        hint={name === 'ended' ? t.emptySearchHint : t.emptySearchLiveHint}
        testId="empty-search"
      >
        {name === 'ended' ? null : (
          <Link to={addressOf({ ...question, show: 'ended' })} className="button primary">
            {t.searchEnded}
          </Link>
        )}
        <Link to="/" className="button">
          {t.clearSearch}
        </Link>
      </Message>
    );
  }
  switch (name) {
    case 'live':
      return (
        <Message art="courtyard" title={t.emptyTitle} hint={t.emptyHint} testId="empty">
          <Link to="/studio" className="button primary">
            {t.goLive}
          </Link>
        </Message>
      );
    case 'upcoming':
      return (
        <Message art="courtyard" title={t.emptyUpcomingTitle} hint={t.emptyUpcomingHint} testId="empty" />
      );
    case 'ended':
      return <Message art="courtyard" title={t.emptyEndedTitle} hint={t.emptyEndedHint} testId="empty" />;
  }
}

/** Below what is live: the next plans, and the latest calls. */
function Below({ query }: { query: string }): ReactNode {
  const ready = useCatalogue((state) => state.phase === 'ready');
  const upcoming = useCatalogue((state) => state.lists.upcoming.ids);
  const calls = useCatalogue((state) => state.calls);
  if (!ready) return null;
  return (
    <>
      {upcoming.length === 0 ? null : (
        <section aria-labelledby="upcoming-title" className="below">
          <BelowHead id="upcoming-title" title={t.listUpcoming} to={addressOf({ show: 'upcoming', query })} />
          <ul className="grid" data-testid="upcoming">
            {upcoming.map((id) => (
              <BroadcastCard id={id} key={id} />
            ))}
          </ul>
        </section>
      )}
      {calls === null || calls.length === 0 || query !== '' ? null : (
        <section aria-labelledby="calls-title" className="below">
          <BelowHead id="calls-title" title={t.listCalls} to={addressOf({ show: 'calls', query: '' })} />
          <ul className="grid calls" data-testid="calls">
            {calls.slice(0, 4).map((call) => (
              <CallCard call={call} key={call.id} />
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function BelowHead({ id, title, to }: { id: string; title: string; to: string }): ReactNode {
  return (
    <h2 id={id}>
      <Link to={to}>{title}</Link>
    </h2>
  );
}

function Calls(): ReactNode {
  const calls = useCatalogue((state) => state.calls);
  const phase = useCatalogue((state) => state.phase);
  if (calls === null && phase === 'loading')
    return <div className="grid" aria-busy="true" aria-label={t.loading} />;
  if (calls === null || calls.length === 0)
    return <Message art="courtyard" title={t.emptyCallsTitle} hint={t.emptyCallsHint} testId="empty" />;
  return (
    <ul className="grid calls" data-testid="calls">
      {calls.map((call) => (
        <CallCard call={call} key={call.id} />
      ))}
    </ul>
  );
}
