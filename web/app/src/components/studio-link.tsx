import type { ReactNode } from 'react';
import { isOnAir, useStudio } from '../store/studio';
import { t } from '../texts';
import { CameraIcon } from './icons';
import { Link } from './link';

/** Leads to the studio, and says whether this tab is on air. */
export function StudioLink(): ReactNode {
  const onAir = useStudio(isOnAir);
  return (
    <Link to="/studio" className={onAir ? 'button on-air' : 'button primary'}>
      <CameraIcon />
      {onAir ? t.navStudio : t.goLive}
    </Link>
  );
}
