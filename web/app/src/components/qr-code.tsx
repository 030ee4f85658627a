import type { ReactNode } from 'react';
import { qrCode } from '../lib/qr';
import { t } from '../texts';

/** Light squares around it: readers want four. */
const QUIET = 4;

/** The QR code of a link; nothing where the link is too long for one. */
export function QrCode({ url }: { url: string }): ReactNode {
  const rows = qrCode(url);
  if (rows === null) return null;
  const size = rows.length + 2 * QUIET;
  const path = rows
    .flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x + QUIET} ${y + QUIET}h1v1h-1z`] : [])))
    .join('');
  return (
    <svg
      className="qr"
      viewBox={`0 0 ${size} ${size}`}
      role="img"
      aria-label={t.shareCode}
      shapeRendering="crispEdges"
      data-testid="qr"
    >
      <path d={`M0 0h${size}v${size}H0z`} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}
