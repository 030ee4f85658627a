import { useNow } from '@madang/react';
import { type ReactNode, useId, useState } from 'react';
import { StatusBadge, ViewerCount } from '../components/badges';
import { timeLine } from '../components/broadcast-card';
import { BackIcon, ChatIcon } from '../components/call-icons';
import { BroadcastChat } from '../components/chat/broadcast-chat';
import { ChevronIcon } from '../components/icons';
import { Link } from '../components/link';
import { Message } from '../components/message';
import { RetryButton } from '../components/player/health';
import { Player } from '../components/player/player';
import { ShareButton } from '../components/share';
import { type Figure, Figures, linkFigures } from '../components/statistics';
import { Told } from '../components/told';
import { Watching } from '../components/watching';
import { pageUrl } from '../lib/api';
import { useSeenHeight, useTitle } from '../lib/hooks';
import { keptTheatre } from '../lib/storage';
import { type Known, listing } from '@madang/sdk';
import { useRoom } from '../store/room';
import { isInterrupted, useWatch } from '../store/watch';
import { t } from '../texts';

/** Whether what is known of its status still holds: a picture arrives, or somebody would tell of a change. */
function isCertain(known: Known): boolean {
  return known.link === 'connected' || listing(known) === 'current';
}

/** One broadcast: picture, sound, chat. */
export function WatchPage({ id }: { id: number }): ReactNode {
  return (
    <Watching id={id}>
      <Page id={id} />
    </Watching>
  );
}

function Page({ id }: { id: number }): ReactNode {
  const phase = useWatch((state) => state.phase);
  const name = useWatch((state) => state.broadcast?.name ?? '');
  useTitle(name.trim() === '' && phase === 'open' ? t.untitled : name);
  switch (phase) {
    case 'loading':
      return <Skeleton />;
    case 'open':
      return <Opened id={id} />;
    case 'not-found':
      return (
        <Message
          heading={1}
          art="courtyard"
          title={t.stateNotFoundTitle}
          hint={t.stateNotFoundHint}
          testId="not-found"
        >
          <HomeLink />
        </Message>
      );
    case 'token':
      return (
        <Message
          heading={1}
          art="courtyard"
          title={t.stateTokenTitle}
          hint={t.stateTokenHint}
          testId="token-needed"
        >
          <HomeLink />
        </Message>
      );
    default:
      return (
        <Message
          heading={1}
          art="alert"
          title={t.stateErrorTitle}
          hint={phase === 'network' ? t.failureNetwork : t.failureServer}
          testId="watch-error"
        >
          <RetryButton />
        </Message>
      );
  }
}

function HomeLink(): ReactNode {
  return (
    <Link to="/" className="button primary">
      {t.backHome}
    </Link>
  );
}

function Skeleton(): ReactNode {
  return (
    <div className="page watch" aria-busy="true" aria-label={t.stateLoading}>
      <div className="stage-frame skeleton" />
      <div className="watch-info">
        <div className="skeleton skeleton-title" />
        <div className="skeleton skeleton-line short" />
      </div>
      <div className="watch-side panel skeleton" />
    </div>
  );
}

function Opened({ id }: { id: number }): ReactNode {
  const participantId = useWatch((state) => state.participantId);
  const closed = useWatch((state) => state.broadcast?.status === 'CLOSED');
  const [wide, setWide] = useState(keptTheatre.read);
  const [chats, setChats] = useState(false);
  useSeenHeight();
  const theatre = {
    on: wide,
    toggle: () => {
      keptTheatre.write(!wide);
      setWide(!wide);
    },
  };
  return (
    <div className="page watch" data-theatre={wide} data-chat={chats} data-testid="watch">
      <Player
        theatre={theatre}
        top={<Heading />}
        more={
          // Only where the chat lies over the picture; elsewhere it is beside or below it.
          <button
            type="button"
            className="icon-button over-video chat-toggle"
            aria-label={chats ? t.hideChat : t.showChat}
            aria-expanded={chats}
            onClick={() => setChats(!chats)}
            data-testid="chat-toggle"
          >
            <ChatIcon />
          </button>
        }
      />
      <Info id={id} />
      <div className="watch-side">
        <BroadcastChat own={participantId} closed={closed} />
      </div>
    </div>
  );
}

/** Title and way back over the picture, where it fills the screen of a phone that lies on its side. */
function Heading(): ReactNode {
  const name = useWatch((state) => state.broadcast?.name ?? '');
  return (
    <>
      <Link to="/" className="icon-button over-video" label={t.backHome}>
        <BackIcon />
      </Link>
      <p className="player-title">
        <Told text={name.trim() === '' ? t.untitled : name} />
      </p>
    </>
  );
}

function Info({ id }: { id: number }): ReactNode {
  const broadcast = useWatch((state) => state.broadcast);
  const live = useRoom((state) => state.viewerCount);
  const certain = useWatch((state) => isCertain(state.known));
  const interrupted = useWatch(isInterrupted);
  const now = useNow(15_000);
  const [open, setOpen] = useState(false);
  const more = useId();
  if (broadcast === null) return null;
  const { name, description, status } = broadcast;
  const title = name.trim() === '' ? t.untitled : name;
  return (
    <div className="watch-info" data-open={open}>
      <div className="watch-heading">
        <h1 data-testid="title" title={title}>
          <Told text={title} />
        </h1>
        <button
          type="button"
          className="icon-button watch-unfold"
          aria-label={open ? t.hideDetails : t.showDetails}
          aria-expanded={open}
          aria-controls={more}
          onClick={() => setOpen(!open)}
          data-testid="unfold"
        >
          <ChevronIcon />
        </button>
        <ShareButton url={pageUrl(`/watch/${id}`)} title={title} embed={pageUrl(`/embed/${id}`)} />
      </div>
      <p className="row">
        <StatusBadge status={status} certain={certain} interrupted={interrupted} />
        {status === 'CLOSED' || !certain ? null : <ViewerCount count={live ?? broadcast.viewer_count} />}
        <span className="quiet">{timeLine(broadcast, now)}</span>
      </p>
      <div className="watch-more" id={more}>
        {description.trim() === '' ? null : (
          <p className="watch-description" data-testid="description">
            <Told text={description} />
          </p>
        )}
        <Details />
      </div>
    </div>
  );
}

function Details(): ReactNode {
  const stats = useWatch((state) => state.stats);
  const closed = useWatch((state) => state.broadcast?.status === 'CLOSED');
  if (closed) return null;
  const latency = stats?.latencyMs ?? null;
  const froze = stats?.tracks.reduce((sum, track) => sum + (track.freezes ?? 0), 0);
  const path = stats?.relayed == null ? t.notAvailable : stats.relayed ? t.pathRelay : t.pathDirect;
  const figures: Figure[] = [
    {
      label: t.statLatency,
      value: latency === null ? t.notAvailable : t.latencyMs(latency),
      hint: latency === null ? t.latencyUnknown : t.latencyHint,
      testId: 'stat-latency',
    },
    ...linkFigures(stats),
    {
      label: t.statFreezes,
      value: froze === undefined ? t.notAvailable : String(froze),
      testId: 'stat-freezes',
    },
    { label: t.statPath, value: path, testId: 'stat-path' },
  ];
  return (
    <details className="panel details">
      <summary>{t.details}</summary>
      <Figures figures={figures} />
    </details>
  );
}
