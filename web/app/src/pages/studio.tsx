import { useMedia, useNow } from '@madang/react';
import { type ReactNode, useEffect, useMemo, useState } from 'react';
import { canShareScreen, type Sending, sending } from '@madang/sdk';
import { StatusBadge, ViewerCount } from '../components/badges';
import { BroadcastChat } from '../components/chat/broadcast-chat';
import { Confirm } from '../components/confirm';
import { Dialog } from '../components/dialog';
import {
  CameraIcon,
  CameraOffIcon,
  MicIcon,
  MicOffIcon,
  ScreenIcon,
  ScreenOffIcon,
  SettingsIcon,
  StopIcon,
} from '../components/icons';
import { Link } from '../components/link';
import { Message, Notice } from '../components/message';
import { ShareField } from '../components/share';
import { Stage } from '../components/stage';
import { Figures, isIdle, linkFigures, publisherFigures } from '../components/statistics';
import { tooMany } from '../components/told-field';
import { othersUrl } from '../lib/api';
import { duration } from '../lib/format';
import { useSeenHeight } from '../lib/hooks';
import { previewWords } from '../lib/preview-words';
import { problemWords } from '../lib/words';
import { Room, RoomProvider, useRoom } from '../store/room';
import { isOnAir, useStudio } from '../store/studio';
import { hasMedia, studio } from '../store/studio-session';
import { t } from '../texts';
import { DevicesPanel, TextsPanel } from './studio-panels';
import { PlansPanel } from './studio-plans';

/** Where a person broadcasts. */
export function StudioPage(): ReactNode {
  useEffect(() => {
    studio.enter();
    return () => studio.leave();
  }, []);
  const ended = useStudio((state) => state.phase === 'ended');
  const onAir = useStudio(isOnAir);
  const phone = useMedia(PHONE);
  const room = useStudioRoom();
  useSeenHeight();
  if (ended) return <Ended />;
  return (
    <RoomProvider value={room}>
      <div className="page studio" data-air={onAir} data-testid="studio">
        {phone ? <OnPhone onAir={onAir} /> : <OnDesktop onAir={onAir} />}
      </div>
    </RoomProvider>
  );
}

/** Where there is room for one thing beside another. */
const PHONE = '(max-width: 640px)';

function OnDesktop({ onAir }: { onAir: boolean }): ReactNode {
  return (
    <>
      <div className="studio-main">
        <Preview />
        <Controls />
        <Problems />
        <OwnStatistics />
        {onAir ? (
          <div className="studio-panels">
            <TextsPanel />
            <DevicesPanel />
          </div>
        ) : null}
      </div>
      <div className="studio-side">
        {onAir ? (
          <>
            <SharePanel />
            <StudioChat />
          </>
        ) : (
          <>
            <TextsPanel />
            <PlansPanel />
            <DevicesPanel />
          </>
        )}
      </div>
    </>
  );
}

/** Preview, controls and chat; everything else is in a sheet while there is somebody to look at. */
function OnPhone({ onAir }: { onAir: boolean }): ReactNode {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Preview />
      <Controls more={onAir ? () => setOpen(true) : null} />
      <Problems />
      {onAir ? (
        <StudioChat />
      ) : (
        <>
          <TextsPanel />
          <PlansPanel />
          <DevicesPanel />
        </>
      )}
      {open && onAir ? (
        <Dialog title={t.settings} className="sheet" onClose={() => setOpen(false)} testId="studio-sheet">
          <SharePanel />
          <TextsPanel />
          <DevicesPanel />
          <OwnStatistics />
        </Dialog>
      ) : null}
    </>
  );
}

/** The room of the own broadcast, which this page is in while it is open; null while there is none. */
function useStudioRoom(): Room | null {
  const id = useStudio((state) => (isOnAir(state) ? (state.broadcast?.id ?? null) : null));
  const room = useMemo(() => (id === null ? null : new Room(id, studio.token)), [id]);
  useEffect(() => {
    if (room === null) return;
    const leave = room.enter();
    const stop = room.store.subscribe(({ broadcast, viewerCount }) => {
      const { phase, peakViewers, broadcast: own } = useStudio.getState();
      if (room.id !== own?.id) return;
      if (viewerCount !== null && viewerCount > peakViewers) useStudio.setState({ peakViewers: viewerCount });
      if (broadcast?.status === 'CLOSED' && phase === 'live') studio.finish();
    });
    return () => {
      stop();
      leave();
    };
  }, [room]);
  return room;
}

function Preview(): ReactNode {
  const camera = useStudio((state) => (state.camera.on ? state.camera.track : null));
  const screen = useStudio((state) => state.screen.track);
  const empty = camera === null && screen === null;
  return (
    <div className="stage-frame">
      <h1 className="visually-hidden">{t.studioHeading}</h1>
      <Stage camera={camera} screen={screen} overlay={empty ? <NoPreview /> : null}>
        <div className="stage-top">
          <AirState />
        </div>
      </Stage>
    </div>
  );
}

/** Why there is no picture, in one place. */
function NoPreview(): ReactNode {
  const camera = useStudio((state) => state.camera);
  const microphone = useStudio((state) => state.microphone);
  const granted = useStudio((state) => state.granted === true);
  const { kind, title, hint, busy } = previewWords(camera, microphone, granted);
  return (
    <div className="stage-overlay">
      <div className="cover" role="status" data-kind={kind} data-testid="preview-state">
        {busy ? <span className="spinner" /> : <CameraOffIcon />}
        <p className="cover-title">{title}</p>
        {hint === undefined ? null : <p className="cover-hint">{hint}</p>}
      </div>
    </div>
  );
}

/** Live for how long, to how many. */
function AirState(): ReactNode {
  const phase = useStudio((state) => state.phase);
  const stands = useStudio((state) => sending(state.known));
  const since = useStudio((state) => state.liveSince);
  const inRoom = useStudio((state) => state.broadcast !== null);
  const now = useNow(1_000);
  if (phase === 'setup') return <span className="chip over-video">{t.preview}</span>;
  if (phase !== 'live') return null;
  return (
    <>
      {/* While nothing reaches the server nobody sees anything: that is not live. */}
      {stands === 'live' ? (
        <StatusBadge status="STREAMING" certain />
      ) : (
        <span className="chip over-video warn" role="status" data-testid="link-state" data-kind={stands}>
          {stands === 'failed' ? null : <span className="spinner small" />}
          {SENDING[stands]}
        </span>
      )}
      <span className="chip over-video" role="timer" aria-label={t.liveFor('')}>
        {duration(since === null ? 0 : now - since)}
      </span>
      {stands === 'live' && inRoom ? <Viewers /> : null}
    </>
  );
}

function Viewers(): ReactNode {
  const viewers = useRoom((state) => state.viewerCount);
  return (
    <span className="chip over-video">
      <ViewerCount count={viewers ?? 0} />
    </span>
  );
}

const SENDING: Readonly<Record<Exclude<Sending, 'live'>, string>> = {
  starting: t.stateConnecting,
  reconnecting: t.stateReconnecting,
  'server-away': t.stateServerAwayTitle,
  offline: t.stateOfflineTitle,
  failed: t.sendingFailed,
};

function Controls({ more = null }: { more?: (() => void) | null }): ReactNode {
  const microphone = useStudio((state) => state.microphone);
  const camera = useStudio((state) => state.camera);
  const sharing = useStudio((state) => state.screen.track !== null);
  // While they are being opened they are what they are going to be: nothing is muted that nobody has muted.
  const onMic = microphone.on && (microphone.track !== null || microphone.opening);
  const onCamera = camera.on && (camera.track !== null || camera.opening);
  return (
    <div className="controls" role="group" aria-label={t.studioHeading}>
      <Toggle
        on={onMic}
        label={onMic ? t.mute : t.unmute}
        icon={onMic ? <MicIcon /> : <MicOffIcon />}
        onClick={() => studio.devices.setMicrophone(!onMic)}
        testId="toggle-microphone"
      />
      <Toggle
        on={onCamera}
        label={onCamera ? t.cameraOff : t.cameraOn}
        icon={onCamera ? <CameraIcon /> : <CameraOffIcon />}
        onClick={() => void studio.devices.setCamera(!onCamera)}
        testId="toggle-camera"
      />
      {canShareScreen() ? (
        <Toggle
          on={sharing}
          label={sharing ? t.stopScreen : t.shareScreen}
          icon={sharing ? <ScreenOffIcon /> : <ScreenIcon />}
          onClick={() => (sharing ? studio.devices.stopScreen() : void studio.devices.shareScreen())}
          neutral
          testId="toggle-screen"
        />
      ) : null}
      {more === null ? null : (
        <button
          type="button"
          className="control"
          aria-label={t.settings}
          onClick={more}
          data-testid="studio-more"
        >
          <SettingsIcon />
        </button>
      )}
      <span className="bar-space" />
      <LiveButton />
    </div>
  );
}

function Toggle(props: {
  on: boolean;
  label: string;
  icon: ReactNode;
  onClick: () => void;
  /** Off is nothing unusual. */
  neutral?: boolean;
  testId: string;
}): ReactNode {
  return (
    <button
      type="button"
      className="control"
      data-on={props.on}
      data-neutral={props.neutral ?? false}
      onClick={props.onClick}
      data-testid={props.testId}
    >
      {props.icon}
      <span className="control-label">{props.label}</span>
    </button>
  );
}

function LiveButton(): ReactNode {
  const phase = useStudio((state) => state.phase);
  const resuming = useStudio((state) => state.resuming);
  const [asking, setAsking] = useState(false);
  const long = useStudio(({ name, description }) => tooMany(name) + tooMany(description) > 0);
  if (phase === 'setup') {
    return (
      <button
        type="button"
        className="button primary large"
        disabled={long}
        onClick={() => void studio.goLive()}
        data-testid="go-live"
      >
        {t.goLive}
      </button>
    );
  }
  return (
    <>
      {phase === 'starting' ? (
        <span className="row quiet" role="status" data-testid="starting">
          <span className="spinner small" />
          {resuming ? t.resuming : t.starting}
        </span>
      ) : null}
      <button
        type="button"
        className="button danger large"
        disabled={phase === 'ending'}
        onClick={() => setAsking(true)}
        data-testid="end"
      >
        {phase === 'ending' ? <span className="spinner small" /> : <StopIcon />}
        {t.end}
      </button>
      {asking ? (
        <Confirm
          title={t.endConfirmTitle}
          text={t.endConfirmText}
          yes={t.endConfirmYes}
          no={t.endConfirmNo}
          onNo={() => setAsking(false)}
          onYes={() => {
            setAsking(false);
            void studio.end();
          }}
        />
      ) : null}
    </>
  );
}

function Problems(): ReactNode {
  const problem = useStudio((state) => state.problem);
  const creatorToken = useStudio((state) => state.creatorToken);
  const limited = useStudio((state) =>
    state.phase === 'live' && sending(state.known) === 'live' ? state.limited : null,
  );
  const media = useStudio(hasMedia);
  return (
    <>
      {problem === null || (problem.kind === 'nothing' && media) ? null : (
        <Notice tone="error" testId="studio-problem">
          <p>{problemWords(problem)}</p>
          {problem.kind === 'nothing' || problem.kind === 'key' ? null : (
            <button type="button" className="button" onClick={() => studio.retry()}>
              {t.retry}
            </button>
          )}
          {problem.kind === 'key' ? (
            <button type="button" className="button" onClick={() => studio.finish()}>
              {t.close}
            </button>
          ) : null}
        </Notice>
      )}
      {creatorToken === null ? null : (
        <Notice tone="info">
          <label className="field">
            <span>{t.creatorTokenNeeded}</span>
            <input
              className="input"
              type="password"
              autoComplete="off"
              aria-label={t.creatorToken}
              value={creatorToken}
              onChange={(event) => useStudio.setState({ creatorToken: event.target.value })}
              data-testid="creator-token"
            />
          </label>
        </Notice>
      )}
      {limited === 'bandwidth' ? <Notice tone="info">{t.limitedBandwidth}</Notice> : null}
      {limited === 'cpu' ? <Notice tone="info">{t.limitedCpu}</Notice> : null}
    </>
  );
}

function OwnStatistics(): ReactNode {
  const stats = useStudio((state) => state.stats);
  const live = useStudio((state) => state.phase === 'live');
  const track = useStudio((state) => (state.camera.on ? state.camera.track : null));
  if (!live) return null;
  const { width, height } = track?.getSettings() ?? {};
  const source = width === undefined || height === undefined ? t.notAvailable : `${width} × ${height}`;
  // What is sent of it depends on who watches: that stands apart.
  const link = linkFigures(stats).filter(({ testId }) => testId !== 'stat-resolution');
  return (
    <section className="panel" aria-labelledby="statistics-title" data-testid="statistics">
      <header className="panel-header">
        <h2 id="statistics-title">{t.statistics}</h2>
      </header>
      <Figures
        figures={[
          { label: t.statSource, value: source, testId: 'stat-source' },
          ...link,
          ...publisherFigures(stats),
        ]}
      />
      {isIdle(stats) ? <p className="quiet small statistics-note">{t.statIdle}</p> : null}
    </section>
  );
}

function SharePanel(): ReactNode {
  const url = useStudio((state) => (isOnAir(state) ? state.watchUrl : ''));
  if (url === '') return null;
  return (
    <section className="panel" aria-label={t.share}>
      <ShareField url={othersUrl(url)} />
    </section>
  );
}

function StudioChat(): ReactNode {
  const live = useStudio((state) => isOnAir(state) && state.broadcast !== null);
  return live ? <BroadcastChat own={null} closed={false} moderator /> : null;
}

function Ended(): ReactNode {
  const lasted = useStudio((state) => state.liveForMs);
  const peak = useStudio((state) => state.peakViewers);
  return (
    <Message
      heading={1}
      art="courtyard"
      title={t.endedTitle}
      hint={t.endedSummary(duration(lasted), peak)}
      testId="studio-ended"
    >
      <button
        type="button"
        className="button primary"
        onClick={() => studio.startNew()}
        data-testid="start-new"
      >
        {t.startNew}
      </button>
      <Link to="/" className="button">
        {t.backHome}
      </Link>
    </Message>
  );
}
