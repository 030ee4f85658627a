import { useMedia, useNow, useTracks } from '@madang/react';
import { type ReactNode, useEffect, useState } from 'react';
import { type Source, WhepPlayer } from '@madang/sdk';
import { playEndpoint } from '../lib/api';
import { useRevivals } from '../lib/hooks';
import { listingOf, noteWay, useCatalogue } from '../store/catalogue';
import { Guest } from '../store/guest';
import { t } from '../texts';
import { StatusBadge, ViewerCount } from './badges';
import { timeLine } from './broadcast-card';
import { PauseIcon, PlayIcon } from './icons';
import { Link } from './link';
import { Thumbnail } from './thumbnail';
import { Told } from './told';

const MEASURE_MS = 2_000;
/** A broadcast that has nothing to show now is asked again after this and up to as long again: not by all at once. */
const RETRY_MS = 10_000;

/** The most watched live broadcast, playing without sound. */
export function Featured({ id }: { id: number }): ReactNode {
  const broadcast = useCatalogue((state) => state.byId[id]);
  const certain = useCatalogue((state) => listingOf(state) === 'current');
  const calm = useMedia('(prefers-reduced-motion: reduce)');
  const [wanted, setWanted] = useState<boolean | null>(null);
  const playing = wanted ?? !calm;
  const track = usePreview(id, playing);
  const video = useTracks<HTMLVideoElement>(track);
  const now = useNow(30_000);
  if (broadcast === undefined) return null;
  return (
    <section className="featured" aria-labelledby="featured-title" data-testid="featured">
      <div className="featured-picture">
        <Thumbnail broadcast={broadcast} />
        <video
          ref={video}
          autoPlay
          muted
          playsInline
          aria-label={t.preview}
          hidden={track === null}
          data-testid="featured-video"
        />
        <button
          type="button"
          className="icon-button over-video featured-toggle"
          aria-label={playing ? t.previewPause : t.previewPlay}
          onClick={() => setWanted(!playing)}
        >
          {playing ? <PauseIcon /> : <PlayIcon />}
        </button>
      </div>
      <div className="featured-text">
        {/* Nobody is the most watched whom nobody watches. */}
        <p className="eyebrow">{certain && broadcast.viewer_count > 0 ? t.featured : t.featuredOne}</p>
        <h2 id="featured-title">
          <Told text={broadcast.name.trim() === '' ? t.untitled : broadcast.name} />
        </h2>
        {broadcast.description.trim() === '' ? null : (
          <p className="featured-description">
            <Told text={broadcast.description} />
          </p>
        )}
        <p className="row">
          <StatusBadge status={broadcast.status} certain={certain} />
          {certain ? <ViewerCount count={broadcast.viewer_count} /> : null}
          <span className="quiet">{timeLine(broadcast, now)}</span>
        </p>
        <Link to={`/watch/${id}`} className="button primary large">
          <PlayIcon />
          {t.watch}
        </Link>
      </div>
    </section>
  );
}

/** Takes the same room while it is not known what will be there. */
export function FeaturedSkeleton(): ReactNode {
  return (
    <div className="featured" aria-hidden="true">
      <div className="featured-picture skeleton" />
      <div className="featured-text">
        <div className="skeleton skeleton-title" />
        <div className="skeleton skeleton-line short" />
      </div>
    </div>
  );
}

/** The video to show of a broadcast's preview: the screen if one is shared, or the camera. */
function usePreview(id: number, playing: boolean): MediaStreamTrack | null {
  const [shown, setShown] = useState<MediaStreamTrack | null>(null);
  const revivals = useRevivals();
  useEffect(() => (playing ? playPreview(id, setShown) : undefined), [id, playing, revivals]);
  return shown;
}

/** Plays a preview and tells the track to show; stops when the returned function is called. */
function playPreview(id: number, show: (track: MediaStreamTrack | null) => void): () => void {
  const guest = new Guest(id, null);
  let tracks = new Map<Source, MediaStreamTrack>();
  let player: WhepPlayer | null = null;
  let again: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;
  const open = (): void => {
    const own = new WhepPlayer({
      url: async () => `${await playEndpoint(id)}?preview=1`,
      token: guest.token,
      iceServers: guest.iceServers,
    });
    player = own;
    own.on('tracks', (remote) => (tracks = new Map(remote.map(({ source, track }) => [source, track]))));
    own.on('state', ({ state, failure }) => {
      if (state === 'connected' || state === 'reconnecting') noteWay({ of: 'link', state, failure });
      if (state !== 'failed' && state !== 'waiting') return;
      show(null);
      void own.close();
      again = setTimeout(open, RETRY_MS * (1 + Math.random()));
    });
    own.start();
  };
  const choose = async (): Promise<void> => {
    const stats = await player?.stats(null);
    const arriving = stats?.tracks.filter(({ frames, packets }) => frames > 0 && packets > 0) ?? [];
    const sending = new Set(arriving.map(({ source }) => source));
    const source = (['screen', 'camera'] as const).find((candidate) => sending.has(candidate));
    // Paused while the browser was asked: what was played is closed.
    if (stats != null && !stopped) show(source === undefined ? null : (tracks.get(source) ?? null));
  };
  const timer = setInterval(() => void choose().catch(() => undefined), MEASURE_MS);
  const leave = (): void => void player?.close();
  addEventListener('pagehide', leave);
  open();
  return () => {
    stopped = true;
    noteWay({ of: 'link', state: 'idle', failure: null });
    clearInterval(timer);
    clearTimeout(again);
    removeEventListener('pagehide', leave);
    leave();
    show(null);
  };
}
