import { type ReactNode, useEffect, useState } from 'react';
import { type Source, WhepPlayer } from '../../sdk';
import { useMedia, useNow, useTracks } from '../lib/hooks';
import { useCatalogue } from '../store/catalogue';
import { Guest } from '../store/guest';
import { t } from '../texts';
import { StatusBadge, ViewerCount } from './badges';
import { timeLine } from './broadcast-card';
import { PauseIcon, PlayIcon } from './icons';
import { Link } from './link';
import { Thumbnail } from './thumbnail';

const MEASURE_MS = 2_000;

/** The most watched live broadcast, playing without sound. */
export function Featured({ id }: { id: number }): ReactNode {
  const broadcast = useCatalogue((state) => state.byId[id]);
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
        <p className="eyebrow">{t.featured}</p>
        <h2 id="featured-title">{broadcast.name.trim() === '' ? t.untitled : broadcast.name}</h2>
        {broadcast.description.trim() === '' ? null : (
          <p className="featured-description">{broadcast.description}</p>
        )}
        <p className="row">
          <StatusBadge status={broadcast.status} />
          <ViewerCount count={broadcast.viewer_count} />
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

/** The video to show of a broadcast's preview: the screen if one is shared, or the camera. */
function usePreview(id: number, playing: boolean): MediaStreamTrack | null {
  const [shown, setShown] = useState<MediaStreamTrack | null>(null);
  useEffect(() => {
    if (!playing) return;
    const guest = new Guest(id, null);
    const player = new WhepPlayer({
      url: `/whep/${id}?preview=1`,
      token: guest.token,
      iceServers: guest.iceServers,
    });
    let tracks = new Map<Source, MediaStreamTrack>();
    player.on('tracks', (remote) => (tracks = new Map(remote.map(({ source, track }) => [source, track]))));
    player.on('state', ({ state }) => {
      if (state === 'failed' || state === 'waiting') setShown(null);
    });
    const choose = async (): Promise<void> => {
      const stats = await player.stats(null);
      const sending = new Set(
        stats?.tracks.filter(({ frames, packets }) => frames > 0 && packets > 0).map((track) => track.source),
      );
      const source = (['screen', 'camera'] as const).find((candidate) => sending.has(candidate));
      setShown(source === undefined ? null : (tracks.get(source) ?? null));
    };
    const timer = setInterval(() => void choose().catch(() => undefined), MEASURE_MS);
    // The page's own first request goes first.
    player.start();
    const leave = (): void => void player.close();
    addEventListener('pagehide', leave);
    return () => {
      clearInterval(timer);
      removeEventListener('pagehide', leave);
      void player.close();
      setShown(null);
    };
  }, [id, playing]);
  return shown;
}
