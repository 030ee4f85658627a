import { type KeyboardEvent, type ReactNode, useEffect, useRef, useState } from 'react';
import { chosenHeight, heightsOf, shorter, type TrackStats, type VideoChoice } from '@madang/sdk';
import { bitrate } from '../lib/format';
import { useWatch, useWatched } from '../store/watch';
import { t } from '../texts';
import { CheckIcon, QualityIcon } from './icons';

/** How often the choices are asked for while the menu is open. */
const REFRESH_MS = 2_000;

/** The menu of pictures to choose from; nothing where the server lets nobody choose. */
export function QualityMenu(): ReactNode {
  const watched = useWatched();
  const able = useWatch(({ known }) => known.layers !== null && known.link === 'connected');
  const choice = useWatch((state) => state.known.choice);
  const [open, setOpen] = useState(false);
  const frame = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const received = useReceived();
  useEffect(() => {
    if (!open) return;
    const ask = setInterval(watched.askLayers, REFRESH_MS);
    const leave = (event: PointerEvent): void => {
      if (!frame.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener('pointerdown', leave);
    watched.askLayers();
    return () => {
      clearInterval(ask);
      document.removeEventListener('pointerdown', leave);
    };
  }, [open, watched]);
  if (!able) return null;
  const close = (): void => {
    setOpen(false);
    button.current?.focus();
  };
  const short = choice === 'audio' ? t.soundOnly : received === null ? t.videoAuto : heightName(received);
  return (
    <div className="quality-menu" ref={frame}>
      <button
        type="button"
        ref={button}
        className="quality-button over-video"
        aria-haspopup="menu"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        onKeyDown={(event) => {
          if (event.key !== 'ArrowUp' && event.key !== 'ArrowDown') return;
          event.preventDefault();
          setOpen(true);
        }}
        data-testid="quality-button"
        data-choice={choice}
      >
        <QualityIcon />
        <span className="quality-short">{short}</span>
        {/* What is to be seen comes first: who speaks to the browser says what is to be seen. */}
        <span className="visually-hidden">{`${t.videoQuality}: ${choiceName(choice, received)}`}</span>
      </button>
      {open ? <Choices received={received} onClose={close} /> : null}
    </div>
  );
}

function Choices({ received, onClose }: { received: TrackStats | null; onClose: () => void }): ReactNode {
  const watched = useWatched();
  const choice = useWatch((state) => state.known.choice);
  const layers = useWatch((state) => state.known.layers);
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    list.current?.querySelector<HTMLElement>('[aria-checked="true"]')?.focus();
  }, []);
  const known = heightsOf(layers);
  const heights = known.length === 0 && typeof choice === 'number' ? [choice] : known;
  const chosen = chosenHeight(choice, heights);
  // One height is no choice.
  const offered = heights.length > 1 || typeof choice === 'number' ? heights : [];
  const move = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' || event.key === 'Tab') {
      // Escape would leave the full screen, too.
      if (event.key === 'Escape') event.preventDefault();
      onClose();
      return;
    }
    const items = [...(list.current?.querySelectorAll<HTMLElement>('[role="menuitemradio"]') ?? [])];
    const at = items.findIndex((item) => item === document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    items.at(to % items.length)?.focus();
  };
  const item = (value: VideoChoice, checked: boolean, name: string, hint?: string): ReactNode => (
    <button
      key={value}
      type="button"
      role="menuitemradio"
      aria-checked={checked}
      tabIndex={-1}
      className="quality-choice"
      onClick={() => {
        watched.choose(value);
        onClose();
      }}
      data-testid={`quality-${value}`}
    >
      <span className="quality-check">{checked ? <CheckIcon /> : null}</span>
      <span>{name}</span>
      {hint === undefined ? null : <span className="quality-hint">{hint}</span>}
    </button>
  );
  const auto = choice === 'auto';
  return (
    <div className="quality-panel">
      <div
        role="menu"
        tabIndex={-1}
        aria-label={t.videoQuality}
        ref={list}
        onKeyDown={move}
        data-testid="quality-list"
      >
        {item('auto', auto, t.videoAuto, auto && received !== null ? heightName(received) : t.videoAutoHint)}
        {offered.map((height) => item(height, height === chosen, t.videoHeight(height)))}
        {item('audio', choice === 'audio', t.soundOnly)}
      </div>
      <p className="quality-now" data-testid="quality-now">
        {received === null ? t.videoNone : nowName(received)}
      </p>
    </div>
  );
}

/** The picture that arrives now: of the camera, or else of the screen. */
function useReceived(): TrackStats | null {
  const tracks = useWatch((state) => state.stats?.tracks);
  const arriving = (source: TrackStats['source']): TrackStats | undefined =>
    tracks?.find((track) => track.source === source && track.packets > 0 && (track.height ?? 0) > 0);
  return arriving('camera') ?? arriving('screen') ?? null;
}

function heightName(track: TrackStats): string {
  return t.videoHeight(shorter(track.width ?? 0, track.height ?? 0));
}

function choiceName(choice: VideoChoice, received: TrackStats | null): string {
  if (choice === 'audio') return t.soundOnly;
  const name = choice === 'auto' ? t.videoAuto : t.videoHeight(choice);
  return received === null ? name : `${name} (${heightName(received)})`;
}

function nowName(track: TrackStats): string {
  const size = `${track.width ?? 0} × ${track.height ?? 0}`;
  const fps = track.fps === null ? [] : [t.fps(Math.round(track.fps))];
  return t.videoNow([size, ...fps, bitrate(track.kbps)].join(' · '));
}
