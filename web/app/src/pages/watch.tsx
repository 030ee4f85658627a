import { TrackSound, useFullscreen, useNow } from '@madang/react';
import { type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { StatusBadge, ViewerCount } from '../components/badges';
import { Chat } from '../components/chat';
import { FullscreenExitIcon, FullscreenIcon, SoundIcon, SoundOffIcon, SwapIcon } from '../components/icons';
import { Link } from '../components/link';
import { Message } from '../components/message';
import { QualityMenu } from '../components/quality-menu';
import { ShareButton } from '../components/share';
import { Stage } from '../components/stage';
import { type Figure, Figures, linkFigures } from '../components/statistics';
import { useRevivals, useTitle } from '../lib/hooks';
import { type Known, listing } from '@madang/sdk';
import { timeLine } from '../components/broadcast-card';
import { RoomProvider, useRoom } from '../store/room';
import {
  isSoundOnly,
  isTooSlow,
  type Quality,
  useWatch,
  Watched,
  WatchedProvider,
  useWatched,
} from '../store/watch';
import { t } from '../texts';
import { cover } from './cover';

/** Whether what is known of its status still holds: a picture arrives, or somebody would tell of a change. */
function isCertain(known: Known): boolean {
  return known.link === 'connected' || listing(known) === 'current';
}

/** One broadcast: picture, sound, chat. */
export function WatchPage({ id }: { id: number }): ReactNode {
  const revivals = useRevivals();
  const watched = useMemo(() => new Watched(id), [id]);
  useEffect(() => watched.open(), [watched, revivals]);
  return (
    <WatchedProvider value={watched}>
      <RoomProvider value={watched.room}>
        <Page id={id} />
      </RoomProvider>
    </WatchedProvider>
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

function RetryButton(): ReactNode {
  const watched = useWatched();
  return (
    <button type="button" className="button primary" onClick={watched.retry}>
      {t.retry}
    </button>
  );
}

function Skeleton(): ReactNode {
  return (
    <div className="page watch" aria-busy="true" aria-label={t.stateLoading}>
      <div className="watch-main">
        <div className="stage-frame skeleton" />
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
  return (
    <div className="page watch" data-testid="watch">
      <div className="watch-main">
        <Player />
        <Info id={id} />
        <Details />
      </div>
      <div className="watch-side">
        <Chat own={participantId} closed={closed} />
      </div>
    </div>
  );
}

function Player(): ReactNode {
  const watched = useWatched();
  const tracks = useWatch((state) => state.tracks);
  const camera = useWatch((state) => (state.active.camera ? (state.tracks.camera ?? null) : null));
  const screen = useWatch((state) => (state.active.screen ? (state.tracks.screen ?? null) : null));
  // Sound alone shows no picture that stands still.
  const hidden = useWatch((state) => state.broadcast?.status === 'CLOSED' || isSoundOnly(state));
  const closed = useWatch((state) => state.broadcast?.status === 'CLOSED');
  const [muted, setMuted] = useState(false);
  const [blocked, setBlocked] = useState(false);
  const [allowed, setAllowed] = useState(0);
  const [volume, setVolume] = useState(1);
  const [swapped, setSwapped] = useState(false);
  const frame = useRef<HTMLDivElement>(null);
  const [full, toggleFull] = useFullscreen(() => frame.current);
  const onBlocked = useCallback(() => setBlocked(true), []);
  const onMain = useCallback(
    (video: HTMLVideoElement | null, kind: 'camera' | 'screen') => watched.measureOn(video, kind),
    [watched],
  );
  const silent = muted || blocked;
  const toggleSound = (): void => {
    setMuted(!silent);
    setBlocked(false);
    setAllowed((count) => count + 1);
  };
  const sound = { muted: silent, volume, allowed, onBlocked };
  return (
    <div className="stage-frame" ref={frame}>
      <Stage
        camera={hidden ? null : camera}
        screen={hidden ? null : screen}
        swapped={swapped}
        onMain={onMain}
        overlay={<Overlay />}
        bar={
          closed ? null : (
            <div className="player-bar">
              <button
                type="button"
                className="icon-button over-video"
                aria-label={silent ? t.soundOn : t.soundOff}
                aria-pressed={!silent}
                onClick={toggleSound}
                data-testid="sound-toggle"
              >
                {silent ? <SoundOffIcon /> : <SoundIcon />}
              </button>
              <input
                type="range"
                className="volume"
                min="0"
                max="1"
                step="0.05"
                value={silent ? 0 : volume}
                aria-label={t.volume}
                onChange={(event) => {
                  setVolume(Number(event.target.value));
                  if (silent) toggleSound();
                }}
              />
              <span className="bar-space" />
              <Health />
              <QualityMenu />
              {camera !== null && screen !== null ? (
                <button
                  type="button"
                  className="icon-button over-video"
                  aria-label={t.swapViews}
                  onClick={() => setSwapped(!swapped)}
                  data-testid="swap"
                >
                  <SwapIcon />
                </button>
              ) : null}
              <button
                type="button"
                className="icon-button over-video"
                aria-label={full ? t.exitFullscreen : t.fullscreen}
                onClick={toggleFull}
                data-testid="fullscreen"
              >
                {full ? <FullscreenExitIcon /> : <FullscreenIcon />}
              </button>
            </div>
          )
        }
      >
        {blocked && (camera !== null || screen !== null) ? (
          <button type="button" className="button sound-prompt" onClick={toggleSound} data-testid="unmute">
            <SoundOffIcon />
            {t.tapForSound}
          </button>
        ) : null}
        <SlowLine />
      </Stage>
      <TrackSound track={tracks.microphone ?? null} {...sound} />
      <TrackSound track={tracks.screen_audio ?? null} {...sound} />
    </div>
  );
}

/** Says why the picture on the screen does not move. */
function SlowLine(): ReactNode {
  const slow = useWatch((state) => isTooSlow(state) && cover(state.known) === null);
  if (!slow) return null;
  return (
    <p className="slow-line over-video" role="status" data-testid="slow-line">
      <strong>{t.stateSlowLine}</strong> {t.stateSlowLineHint}
    </p>
  );
}

const QUALITY: Readonly<Record<Exclude<Quality, null>, string>> = {
  good: t.qualityGood,
  fair: t.qualityFair,
  poor: t.qualityPoor,
};

/** Connection and latency at a glance. */
function Health(): ReactNode {
  const link = useWatch((state) => state.known.link);
  const quality = useWatch((state) => state.quality);
  const latency = useWatch((state) => state.stats?.latencyMs ?? null);
  if (link !== 'connected' || quality === null) return null;
  return (
    <span className="health over-video" data-quality={quality} title={`${t.quality}: ${QUALITY[quality]}`}>
      <span className="health-dot" aria-hidden="true" />
      <span data-testid="quality">{QUALITY[quality]}</span>
      {latency === null ? null : (
        <span className="health-latency" title={t.latencyHint}>
          {t.latencyMs(latency)}
        </span>
      )}
    </span>
  );
}

function Overlay(): ReactNode {
  const known = useWatch((state) => state.known);
  const shown = cover(known);
  if (shown === null) return null;
  return (
    <div className="stage-overlay">
      <div className="cover" role="status" data-testid="cover" data-kind={shown.kind}>
        {shown.busy ? <span className="spinner" /> : null}
        <p className="cover-title">{shown.title}</p>
        {shown.hint === undefined ? null : <p className="cover-hint">{shown.hint}</p>}
        {shown.retry ? <RetryButton /> : null}
        {shown.kind === 'ended' ? <HomeLink /> : null}
      </div>
    </div>
  );
}

function Info({ id }: { id: number }): ReactNode {
  const broadcast = useWatch((state) => state.broadcast);
  const live = useRoom((state) => state.viewerCount);
  const certain = useWatch((state) => isCertain(state.known));
  const now = useNow(15_000);
  if (broadcast === null) return null;
  const { name, description, status } = broadcast;
  return (
    <div className="watch-info">
      <div className="watch-heading">
        <h1 data-testid="title">{name.trim() === '' ? t.untitled : name}</h1>
        <ShareButton url={`${location.origin}/watch/${id}`} />
      </div>
      <p className="row">
        <StatusBadge status={status} certain={certain} />
        {status === 'CLOSED' || !certain ? null : <ViewerCount count={live ?? broadcast.viewer_count} />}
        <span className="quiet">{timeLine(broadcast, now)}</span>
      </p>
      {description.trim() === '' ? null : (
        <p className="watch-description" data-testid="description">
          {description}
        </p>
      )}
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
