import { type ReactNode, useEffect, useState } from 'react';
import { usePeople, useRoom } from '@madang/react';
import type { RoomStats } from '@madang/sdk';
import { DeviceSettings } from '../../components/device-settings';
import { Dialog } from '../../components/dialog';
import { Figures } from '../../components/statistics';
import { bitrate, milliseconds, percent } from '../../lib/format';
import { displayName } from '../../lib/call-words';
import { t } from '../../texts';
import { KEYS, type Shortcut } from './shortcuts';
import { useUi, useUiState } from './ui';

/** What lies over the page, if anything does. */
export function Dialogs(): ReactNode {
  const ui = useUi();
  const dialog = useUiState((state) => state.dialog);
  const close = (): void => ui.set({ dialog: null });
  switch (dialog) {
    case 'shortcuts':
      return <Shortcuts onClose={close} />;
    case 'statistics':
      return <Statistics onClose={close} />;
    case 'settings':
      return <DeviceSettings onClose={close} />;
    case null:
      return null;
  }
}

const MEANING: Readonly<Record<Exclude<Shortcut, 'talk' | 'help'>, string>> = {
  microphone: t.microphone,
  camera: t.camera,
  screen: t.roomScreenOn,
  hand: t.roomHandUp,
  chat: t.roomChat,
  people: t.roomPeople,
  board: t.board,
  view: t.roomKeyView,
  fullscreen: t.roomFullscreen,
  picture: t.roomPicture,
  next: t.roomNextPage,
  previous: t.roomPreviousPage,
  close: t.roomKeyClose,
};

function Shortcuts({ onClose }: { onClose: () => void }): ReactNode {
  const rows: [string, string][] = [
    [t.roomKeySpace, t.roomKeyTalk],
    ...KEYS.map(({ shortcut, shown }): [string, string] => [
      shown,
      MEANING[shortcut as Exclude<Shortcut, 'talk' | 'help'>],
    ]),
    ['?', t.roomKeyHelp],
  ];
  return (
    <Dialog className="call-dialog" title={t.roomShortcuts} onClose={onClose} testId="call-shortcut-list">
      <dl className="call-keys">
        {rows.map(([key, meaning]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

const REFRESH_MS = 1_000;

function Statistics({ onClose }: { onClose: () => void }): ReactNode {
  const room = useRoom();
  const [stats, setStats] = useState<RoomStats | null>(null);
  useEffect(() => {
    let over = false;
    const ask = (): void => {
      void room.stats().then(
        (now) => {
          if (!over) setStats(now);
        },
        () => undefined,
      );
    };
    ask();
    const timer = setInterval(ask, REFRESH_MS);
    return () => {
      over = true;
      clearInterval(timer);
    };
  }, [room]);
  const names = usePeople((people) => new Map([...people].map(([id, person]) => [id, displayName(person)])));
  const rate = (kbps: number | undefined): string => (kbps === undefined ? t.notAvailable : bitrate(kbps));
  return (
    <Dialog className="call-dialog" title={t.roomStatistics} onClose={onClose} testId="call-statistics-panel">
      <Figures
        figures={[
          { label: t.roomStatSend, value: rate(stats?.sendKbps), testId: 'call-stat-send' },
          { label: t.roomStatReceive, value: rate(stats?.receiveKbps), testId: 'call-stat-receive' },
          { label: t.statRtt, value: milliseconds(stats?.roundTripMs ?? null) },
          { label: t.statLoss, value: percent(stats?.lostPercent ?? null) },
        ]}
      />
      <h3 className="call-stat-title">{t.roomStatPictures}</h3>
      <ul className="call-stat-pictures">
        {stats?.pictures.map(({ participant, source, width, height, fps }) => {
          const name = names.get(participant) ?? t.roomGuest;
          return (
            <li key={`${source} ${participant}`}>
              <span>{source === 'screen' ? t.roomScreenOf(name) : name}</span>
              <span>
                {width} × {height} · {t.fps(Math.round(fps))}
              </span>
            </li>
          );
        })}
      </ul>
    </Dialog>
  );
}
