import type { ReactNode } from 'react';
import { Link } from '../components/link';
import { Message } from '../components/message';
import { RetryButton } from '../components/player/health';
import { Player } from '../components/player/player';
import { Told } from '../components/told';
import { Watching } from '../components/watching';
import { useTitle } from '../lib/hooks';
import { useWatch } from '../store/watch';
import { t } from '../texts';

/** The player alone, for frames of other sites. */
export function EmbedPage({ id }: { id: number }): ReactNode {
  return (
    <Watching id={id}>
      <Embedded id={id} />
    </Watching>
  );
}

function Embedded({ id }: { id: number }): ReactNode {
  const phase = useWatch((state) => state.phase);
  const name = useWatch((state) => state.broadcast?.name ?? '');
  const title = name.trim() === '' ? t.untitled : name;
  useTitle(phase === 'open' ? title : '');
  switch (phase) {
    case 'loading':
      return <div className="embed" aria-busy="true" aria-label={t.stateLoading} />;
    case 'open':
      return (
        <div className="embed" data-testid="embed">
          <h1 className="visually-hidden">
            <Told text={title} />
          </h1>
          <Player
            home={false}
            top={
              <Link to={`/watch/${id}`} className="embed-title over-video" newTab>
                <Told text={title} />
                <span className="visually-hidden">{t.playerOpen}</span>
              </Link>
            }
          />
        </div>
      );
    case 'not-found':
      return <Message heading={1} title={t.stateNotFoundTitle} testId="not-found" />;
    case 'token':
      return <Message heading={1} title={t.stateTokenTitle} testId="token-needed" />;
    default:
      return (
        <Message
          heading={1}
          title={t.stateErrorTitle}
          hint={phase === 'network' ? t.failureNetwork : t.failureServer}
          testId="watch-error"
        >
          <RetryButton />
        </Message>
      );
  }
}
