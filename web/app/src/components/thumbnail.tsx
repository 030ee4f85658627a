import { useNow } from '@madang/react';
import { type CSSProperties, type ReactNode, useState } from 'react';
import type { Broadcast } from '@madang/sdk';
import { api } from '../lib/api';

/** Pictures of live broadcasts are asked for again this often. */
const REFRESH_MS = 15_000;

/** The picture of a broadcast, or a drawn one where there is none (yet). */
export function Thumbnail({ broadcast }: { broadcast: Broadcast }): ReactNode {
  const now = useNow(REFRESH_MS);
  const [shown, setShown] = useState(false);
  const live = broadcast.status === 'STREAMING';
  const version = live ? Math.floor(now / REFRESH_MS) : (broadcast.ended_at ?? broadcast.modified_at);
  // Colours that differ between neighbours and stay the same for a broadcast.
  const style = { '--hue': String((broadcast.id * 47) % 360) } as CSSProperties;
  return (
    <div className="thumbnail" style={style} aria-hidden="true">
      <span className="thumbnail-letter">{firstLetter(broadcast.name)}</span>
      {broadcast.status === 'READY' ? null : (
        <img
          src={api.thumbnailUrl(broadcast.id, version)}
          alt=""
          loading="lazy"
          data-shown={shown}
          // An empty answer says that there is none yet.
          onLoad={() => setShown(true)}
          onError={() => setShown(false)}
        />
      )}
    </div>
  );
}

/** What a reader takes for the first letter: an emoji or a Korean syllable is one. */
function firstLetter(name: string): string {
  const [first] = new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(name.trim());
  return first?.segment ?? '';
}
