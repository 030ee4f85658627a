import { type ReactNode, useEffect, useState } from 'react';
import * as madang from '@madang/react';
import { joinRoom, MetaApi, type Room } from '@madang/sdk';
import { Switch } from './switch';
import * as words from './words';

export function Page({ server, group }: { server: string; group: string }): ReactNode {
  const [room, setRoom] = useState<Room | null>(null);
  useEffect(() => () => void room?.leave(), [room]);
  const join = async (choice: madang.LobbyChoice): Promise<void> => {
    const api = new MetaApi(server);
    let own: string | undefined;
    // Whoever shows a token gets a fresh one: the same person, however long the call lasts.
    const token = async (): Promise<string> => (own = (await api.groupToken(group, {}, own)).token);
    const joined = await joinRoom(server, token, madang.joinOptions(choice));
    setRoom(joined);
    await madang.settleIn(joined, choice);
  };
  if (room === null) return <madang.PreJoin words={words.preJoin} onJoin={join} />;
  return (
    <madang.RoomProvider value={room}>
      <Call onLeave={() => setRoom(null)} />
    </madang.RoomProvider>
  );
}

function Call({ onLeave }: { onLeave: () => void }): ReactNode {
  const { me } = madang.useRoom();
  const { call, failure } = madang.useRoomState();
  const [page, setPage] = useState(0);
  const { tiles, pages } = madang.useTiles({ page, size: 9, screens: true });
  return (
    <main data-call={call}>
      <p role="status">{call === 'connected' ? '' : (failure ?? call)}</p>
      <div className="grid">
        {tiles.map(({ key, ...tile }) => (
          <madang.Tile key={key} {...tile} words={words.tile} className="tile" />
        ))}
      </div>
      <madang.Sound>{(start) => <button onClick={start}>Hear the others</button>}</madang.Sound>
      <Switch name="Microphone" device={me.mic} />
      <Switch name="Camera" device={me.camera} />
      <Switch name="Screen" device={me.screen} />
      {pages > 1 ? <button onClick={() => setPage((page + 1) % pages)}>More people</button> : null}
      <button onClick={onLeave}>Leave</button>
    </main>
  );
}
