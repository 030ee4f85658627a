import { TrackSound, useFullscreen } from '@madang/react';
import { type ReactNode, useCallback, useEffect, useEffectEvent, useRef, useState } from 'react';
import { cover } from '../../pages/cover';
import { isSoundOnly, useWatch, useWatched } from '../../store/watch';
import { t } from '../../texts';
import { Dialog } from '../dialog';
import {
  FullscreenExitIcon,
  FullscreenIcon,
  PauseIcon,
  PlayIcon,
  SoundIcon,
  SoundOffIcon,
  SwapIcon,
} from '../icons';
import { QualityMenu } from '../quality-menu';
import { Stage } from '../stage';
import { Cover, Health, SlowLine } from './health';
import { FloatIcon, HelpIcon, TheatreIcon } from './icons';
import { playerKey, type PlayerKey, PLAYER_KEYS } from './keys';
import { useFloatingPicture } from './use-picture';
import { useIdle } from './use-idle';
import { type PlayerSound, useSound } from './use-sound';

/** A switch that the page gives its player. */
export interface Switch {
  on: boolean;
  toggle: () => void;
}

/** A broadcast that is watched: picture, sound, what covers them, and the bar with its keys. */
export function Player(props: {
  /** The wide layout of the page; none where the page has one layout. */
  theatre?: Switch;
  /** More buttons at the end of the bar. */
  more?: ReactNode;
  /** What stands at the top of the picture while the bar is there. */
  top?: ReactNode;
  /** An ended broadcast leads to the others. */
  home?: boolean;
}): ReactNode {
  const { theatre, more, top, home = true } = props;
  const watched = useWatched();
  const tracks = useWatch((state) => state.tracks);
  const camera = useWatch((state) => (state.active.camera ? (state.tracks.camera ?? null) : null));
  const screen = useWatch((state) => (state.active.screen ? (state.tracks.screen ?? null) : null));
  // Sound alone shows no picture that stands still.
  const hidden = useWatch((state) => state.broadcast?.status === 'CLOSED' || isSoundOnly(state));
  const closed = useWatch((state) => state.broadcast?.status === 'CLOSED');
  const shown = useWatch((state) => cover(state.known) === null);
  const [wantsPause, setPaused] = useState(false);
  const [swapped, setSwapped] = useState(false);
  const [helps, setHelps] = useState(false);
  const frame = useRef<HTMLDivElement>(null);
  const [full, toggleFull] = useFullscreen(() => frame.current);
  const sound = useSound();
  const floating = useFloatingPicture(frame);
  const paused = wantsPause && !closed;
  const idle = useIdle(frame, shown && !paused && !closed);
  const onMain = useCallback(
    (video: HTMLVideoElement | null, kind: 'camera' | 'screen') => watched.measureOn(video, kind),
    [watched],
  );
  const does: Readonly<Record<PlayerKey, () => void>> = {
    play: () => setPaused(!paused),
    mute: sound.toggle,
    fullscreen: toggleFull,
    theatre: () => theatre?.toggle(),
    picture: floating.toggle,
    louder: () => sound.step(1),
    quieter: () => sound.step(-1),
    help: () => setHelps(true),
  };
  usePlayerKeys(frame, does, !closed);
  // The pause of the floating picture is the pause of the player; a pause of anything else is the browser's affair.
  const floats = (video: EventTarget): boolean => document.pictureInPictureElement === video;
  const audio = { muted: sound.silent || paused, volume: sound.volume, allowed: sound.allowed };
  return (
    <div
      className="stage-frame player"
      ref={frame}
      // Clicked once, the arrows are its own.
      tabIndex={-1}
      data-idle={idle}
      data-paused={paused}
      data-testid="player"
      onDoubleClick={(event) => {
        if (event.target instanceof Element && event.target.closest('button, input, [role="menu"]') === null)
          toggleFull();
      }}
      onPauseCapture={(event) => {
        if (floats(event.target)) setPaused(true);
      }}
      onPlayCapture={(event) => {
        if (floats(event.target)) setPaused(false);
      }}
    >
      <Stage
        camera={hidden ? null : camera}
        screen={hidden ? null : screen}
        swapped={swapped}
        paused={paused}
        onMain={onMain}
        overlay={<Cover home={home} />}
        bar={
          closed ? null : (
            <div className="player-bar">
              <button
                type="button"
                className="icon-button over-video"
                aria-label={paused ? t.playerPlay : t.playerPause}
                onClick={does.play}
                data-testid="play-toggle"
              >
                {paused ? <PlayIcon /> : <PauseIcon />}
              </button>
              <SoundControls sound={sound} />
              {paused ? (
                <button
                  type="button"
                  className="live-button over-video"
                  title={t.playerToLive}
                  onClick={() => setPaused(false)}
                  data-testid="to-live"
                >
                  <span className="live-dot" aria-hidden="true" />
                  {t.statusLive}
                </button>
              ) : null}
              <span className="bar-space" />
              {paused ? null : <Health />}
              <QualityMenu />
              {camera !== null && screen !== null ? (
                <BarButton label={t.swapViews} onClick={() => setSwapped(!swapped)} testId="swap">
                  <SwapIcon />
                </BarButton>
              ) : null}
              <BarButton label={t.playerKeys} onClick={does.help} testId="player-help" rare>
                <HelpIcon />
              </BarButton>
              {floating.able ? (
                <BarButton
                  label={floating.on ? t.playerPictureBack : t.playerPicture}
                  onClick={floating.toggle}
                  testId="picture-in-picture"
                  rare
                >
                  <FloatIcon />
                </BarButton>
              ) : null}
              {theatre === undefined || full ? null : (
                <BarButton
                  label={theatre.on ? t.playerTheatreOff : t.playerTheatre}
                  onClick={theatre.toggle}
                  testId="theatre"
                  rare
                >
                  <TheatreIcon />
                </BarButton>
              )}
              {more}
              <BarButton
                label={full ? t.exitFullscreen : t.fullscreen}
                onClick={toggleFull}
                testId="fullscreen"
              >
                {full ? <FullscreenExitIcon /> : <FullscreenIcon />}
              </BarButton>
            </div>
          )
        }
      >
        {top === undefined ? null : <div className="player-top">{top}</div>}
        {paused && shown ? (
          <p className="paused-sign over-video" role="status" data-testid="paused">
            {t.playerPaused}
          </p>
        ) : null}
        {sound.blocked && !paused && (camera !== null || screen !== null) ? (
          <button type="button" className="button sound-prompt" onClick={sound.toggle} data-testid="unmute">
            <SoundOffIcon />
            {t.tapForSound}
          </button>
        ) : null}
        <SlowLine />
      </Stage>
      <TrackSound track={tracks.microphone ?? null} {...audio} onBlocked={sound.onBlocked} />
      <TrackSound track={tracks.screen_audio ?? null} {...audio} onBlocked={sound.onBlocked} />
      {helps ? <Keys hasTheatre={theatre !== undefined} onClose={() => setHelps(false)} /> : null}
    </div>
  );
}

function BarButton(props: {
  label: string;
  onClick: () => void;
  testId: string;
  /** Left out where there is little room. */
  rare?: boolean;
  children: ReactNode;
}): ReactNode {
  return (
    <button
      type="button"
      className="icon-button over-video"
      aria-label={props.label}
      title={props.label}
      data-rare={props.rare ?? false}
      onClick={props.onClick}
      data-testid={props.testId}
    >
      {props.children}
    </button>
  );
}

function SoundControls({ sound }: { sound: PlayerSound }): ReactNode {
  return (
    <>
      <button
        type="button"
        className="icon-button over-video"
        aria-label={sound.silent ? t.soundOn : t.soundOff}
        onClick={sound.toggle}
        data-testid="sound-toggle"
      >
        {sound.silent ? <SoundOffIcon /> : <SoundIcon />}
      </button>
      <input
        type="range"
        className="volume"
        min="0"
        max="1"
        step="0.05"
        value={sound.silent ? 0 : sound.volume}
        aria-label={t.volume}
        onChange={(event) => sound.set(Number(event.target.value))}
        data-testid="volume"
      />
    </>
  );
}

const KEY_WORDS: Readonly<Record<Exclude<PlayerKey, 'help'>, string>> = {
  play: t.playerKeyPlay,
  mute: t.playerKeyMute,
  louder: t.playerKeyLouder,
  quieter: t.playerKeyQuieter,
  fullscreen: t.fullscreen,
  theatre: t.playerTheatre,
  picture: t.playerPicture,
};

/** The list of keys. */
function Keys({ hasTheatre, onClose }: { hasTheatre: boolean; onClose: () => void }): ReactNode {
  const keys = PLAYER_KEYS.filter(({ key }) => hasTheatre || key !== 'theatre');
  return (
    <Dialog title={t.playerKeys} className="player-keys" onClose={onClose} testId="player-keys">
      <dl className="key-list">
        {keys.map(({ key, shown }) => (
          <div key={key}>
            <dt>
              <kbd>{shown}</kbd>
              {key === 'play' ? <kbd>{t.playerSpace}</kbd> : null}
            </dt>
            <dd>{KEY_WORDS[key as Exclude<PlayerKey, 'help'>]}</dd>
          </div>
        ))}
        <div>
          <dt>
            <kbd>?</kbd>
          </dt>
          <dd>{t.playerKeys}</dd>
        </div>
      </dl>
    </Dialog>
  );
}

/** Keys of the keyboard, wherever the focus is on the page. */
function usePlayerKeys(
  frame: React.RefObject<HTMLElement | null>,
  does: Readonly<Record<PlayerKey, () => void>>,
  on: boolean,
): void {
  const act = useEffectEvent((key: PlayerKey) => does[key]());
  useEffect(() => {
    if (!on) return;
    const down = (event: KeyboardEvent): void => {
      const key = event.defaultPrevented || event.isComposing ? null : playerKey(event);
      if (key === null) return;
      const arrow = key === 'louder' || key === 'quieter';
      if (arrow && !isAtPlayer(frame.current)) return;
      // Space and arrows would scroll the page.
      event.preventDefault();
      act(key);
    };
    addEventListener('keydown', down);
    return () => removeEventListener('keydown', down);
  }, [frame, on]);
}

/** Whether the arrows are the player's: it has the focus, or nothing has and it is what the person looks at. */
function isAtPlayer(frame: HTMLElement | null): boolean {
  if (frame === null) return false;
  const { activeElement } = document;
  if (activeElement !== null && frame.contains(activeElement)) return true;
  if (activeElement !== null && activeElement !== document.body && activeElement.tagName !== 'MAIN')
    return false;
  const { top, height } = frame.getBoundingClientRect();
  return top > -height / 2;
}
