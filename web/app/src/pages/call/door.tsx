import { type ReactNode, useState } from 'react';
import { openCamera, openMicrophone } from '@madang/sdk';
import { keptCallToken } from '../../lib/storage';
import { t } from '../../texts';
import type { LobbyChoice } from '../lobby/choice';

/** A name and a button, until the lobby is there. */
export function Door(props: {
  group: string;
  joining: boolean;
  onJoin: (choice: LobbyChoice) => void;
}): ReactNode {
  const { group, joining, onJoin } = props;
  // Under the same name a reload comes back as the same participant.
  const [name, setName] = useState(() => keptCallToken.read(group)?.name ?? '');
  const join = async (): Promise<void> => {
    const [microphone, camera] = await Promise.all([
      openMicrophone().catch(() => null),
      openCamera().catch(() => null),
    ]);
    const none = { microphoneId: null, cameraId: null, speakerId: null, blur: false };
    onJoin({ name: name.trim(), microphone, camera, ...none });
  };
  return (
    <form
      className="page form"
      onSubmit={(event) => {
        event.preventDefault();
        void join();
      }}
    >
      <h1>{t.callTitle}</h1>
      <p>{t.callHint}</p>
      <label className="field">
        <span>{t.callName}</span>
        <input
          className="input"
          value={name}
          maxLength={64}
          autoComplete="name"
          onChange={(event) => setName(event.target.value)}
          data-testid="call-name"
        />
      </label>
      <button type="submit" className="button primary large" disabled={joining} data-testid="call-join">
        {t.callJoin}
      </button>
    </form>
  );
}
