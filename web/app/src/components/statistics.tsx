import type { ReactNode } from 'react';
import type { LinkStats, TrackStats } from '@madang/sdk';
import { shorter } from '@madang/sdk';
import { bitrate, milliseconds, percent } from '../lib/format';
import { t } from '../texts';

/** A figure with its name. */
export interface Figure {
  label: string;
  value: string;
  hint?: string;
  testId?: string;
  /** Takes a row of its own. */
  wide?: boolean;
}

/** Figures in a grid. */
export function Figures({ figures }: { figures: readonly Figure[] }): ReactNode {
  return (
    <dl className="figures">
      {figures.map(({ label, value, hint, testId, wide = false }) => (
        <div key={label} title={hint} data-wide={wide}>
          <dt>{label}</dt>
          <dd data-testid={testId}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** What both ends of a link show of it. */
export function linkFigures(stats: LinkStats | null): Figure[] {
  const track = (source: TrackStats['source']): TrackStats | undefined =>
    stats?.tracks.find((candidate) => candidate.source === source && candidate.packets > 0);
  const camera = track('camera');
  const screen = track('screen');
  const main = camera ?? screen;
  const codecs = [main?.codec, track('microphone')?.codec ?? track('screen_audio')?.codec];
  const figures: Figure[] = [
    {
      label: t.statBitrate,
      value: stats === null ? t.notAvailable : bitrate(stats.kbps),
      testId: 'stat-bitrate',
    },
    { label: t.statResolution, value: resolution(main), testId: 'stat-resolution' },
    {
      label: t.statFps,
      value: main?.fps == null ? t.notAvailable : t.fps(Math.round(main.fps)),
      testId: 'stat-fps',
    },
    { label: t.statLoss, value: percent(stats?.lossPercent ?? null), testId: 'stat-loss' },
    { label: t.statRtt, value: milliseconds(stats?.rttMs ?? null), testId: 'stat-rtt' },
    {
      label: t.statCodec,
      value: codecs.filter((name) => name != null).join(' · ') || t.notAvailable,
      testId: 'stat-codec',
    },
  ];
  if (camera !== undefined && screen !== undefined) {
    figures.push({
      label: t.statScreen,
      value: `${resolution(screen)}, ${bitrate(screen.kbps)}`,
      testId: 'stat-screen',
    });
  }
  return figures;
}

/** What a publisher sends beside that: each encoding of its pictures, and what its line is thought to carry. */
export function publisherFigures(stats: LinkStats | null): Figure[] {
  const tracks = stats?.tracks ?? [];
  const main = tracks.some(({ source, packets }) => source === 'camera' && packets > 0) ? 'camera' : 'screen';
  const encodings = tracks.filter(({ source, rid }) => source === main && rid !== null);
  // One that has no picture, because its camera is off, has no size to name.
  const names = encodings.flatMap((track) => {
    if (track.height === null || track.height === 0) return [];
    const name = t.videoHeight(shorter(track.width ?? 0, track.height));
    return [track.active && track.packets > 0 ? `${name} ${bitrate(track.kbps)}` : t.statEncodingOff(name)];
  });
  const available = stats?.availableKbps ?? null;
  return [
    {
      label: t.statAvailable,
      value: available === null ? t.notAvailable : bitrate(available),
      testId: 'stat-available',
    },
    ...(names.length === 0
      ? []
      : [
          {
            label: t.statEncodings,
            value: names.join(' · '),
            wide: true,
            hint: t.statEncodingsHint,
            testId: 'stat-encodings',
          },
        ]),
  ];
}

/** Whether a publisher holds back its larger pictures because nobody watches. */
export function isIdle(stats: LinkStats | null): boolean {
  const sent = stats?.tracks.filter(({ source, rid }) => source === 'camera' && rid !== null) ?? [];
  return (
    sent.length > 1 &&
    sent.filter(({ active }) => active).length <= 1 &&
    sent.some(({ packets }) => packets > 0)
  );
}

function resolution(track: TrackStats | undefined): string {
  return track?.width == null || track.height === null ? t.notAvailable : `${track.width} × ${track.height}`;
}
