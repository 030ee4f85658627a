import type { ReactNode } from 'react';
import type { ReactionKind } from '@madang/sdk';

/** Reactions are drawn, not typed: not every device has the letters, and those that do draw them all differently. */
export function ReactionSign({ kind }: { kind: ReactionKind }): ReactNode {
  return (
    <svg className="reaction-sign" viewBox="0 0 32 32" aria-hidden="true">
      {SIGNS[kind]}
    </svg>
  );
}

const SKIN = '#ffce54';
const LINE = '#7a4a05';

const thumb = (
  <>
    <path
      d="M12 14.500 16.500 4.500c2 0 3.300 1.500 3 3.600L19 12h6a2.800 2.800 0 0 1 2.700 3.400l-1.900 8.800A3.600 3.600 0 0 1 22.300 27H12V14.500Z"
      fill={SKIN}
    />
    <rect x="4" y="14" width="6.500" height="13.500" rx="2" fill="#4a90d9" />
  </>
);

const face = (features: ReactNode): ReactNode => (
  <>
    <circle cx="16" cy="16" r="13" fill={SKIN} />
    {features}
  </>
);

const eyes = (
  <>
    <circle cx="11.500" cy="13" r="1.800" fill={LINE} />
    <circle cx="20.500" cy="13" r="1.800" fill={LINE} />
  </>
);

const SIGNS: Readonly<Record<ReactionKind, ReactNode>> = {
  like: thumb,
  dislike: <g transform="rotate(180 16 16)">{thumb}</g>,
  heart: (
    <path
      d="M16 28S3.500 20.500 3.500 11.800A6.600 6.600 0 0 1 16 8.700a6.600 6.600 0 0 1 12.500 3.100C28.500 20.500 16 28 16 28Z"
      fill="#f04a5d"
    />
  ),
  applause: (
    <>
      <path
        d="M7.500 17.500 14 9.500a2 2 0 0 1 3.100 2.500l4.600-5.200a1.900 1.900 0 0 1 2.900 2.500l1.500-1.300a1.900 1.900 0 0 1 2.600 2.800L20 24a8.500 8.500 0 0 1-12 1 8.300 8.300 0 0 1-.5-7.500Z"
        fill={SKIN}
      />
      <path
        d="m17.100 12-4.800 5.700m12.300-8.400-6.900 8.200m9.800-6.400-6.600 7.900"
        stroke={LINE}
        strokeWidth="1.300"
        fill="none"
      />
      <path
        d="M9 4.500 10.500 8M4 8.500l3.500 1.700M15.500 2.500v3.300"
        stroke="#f2763a"
        strokeWidth="2"
        strokeLinecap="round"
      />
    </>
  ),
  laugh: face(
    <>
      <path
        d="m8.500 13.500 2.800-2.500 2.800 2.500m3.800 0 2.800-2.500 2.800 2.500"
        stroke={LINE}
        strokeWidth="2"
        strokeLinecap="round"
        strokeLinejoin="round"
        fill="none"
      />
      <path d="M8.500 17.500h15a7.500 7.500 0 0 1-15 0Z" fill={LINE} />
      <path d="M11.500 22.800a5.500 5.500 0 0 1 9 0 7.500 7.500 0 0 1-9 0Z" fill="#f0616d" />
    </>,
  ),
  surprise: face(
    <>
      {eyes}
      <ellipse cx="16" cy="21.500" rx="3.400" ry="4.200" fill={LINE} />
      <path
        d="M9 8.500q2-1.500 4-.5m6 0q2-1 4 .5"
        stroke={LINE}
        strokeWidth="1.600"
        strokeLinecap="round"
        fill="none"
      />
    </>,
  ),
  sad: face(
    <>
      {eyes}
      <path
        d="M10.500 23.500a6.500 6.500 0 0 1 11 0"
        stroke={LINE}
        strokeWidth="2.200"
        strokeLinecap="round"
        fill="none"
      />
      <path
        d="M22.500 16.500s2.700 3.300 2.700 5a2.700 2.700 0 0 1-5.400 0c0-1.700 2.700-5 2.700-5Z"
        fill="#5aa9f0"
      />
    </>,
  ),
  party: (
    <>
      <path d="m4 28 6.500-16.500 10 10L4 28Z" fill="#f2b134" />
      <path d="m7.500 19.200 5.300 5.300M9.500 14l8.500 8.500" stroke="#d9534f" strokeWidth="2" />
      <path
        d="M15 11c-1-3 .5-5.500 3-7m3 13c3 1 5.500-.5 7-3M18 14l5.500-5.500"
        stroke="#4fd1c0"
        strokeWidth="2.200"
        strokeLinecap="round"
        fill="none"
      />
      <circle cx="25.500" cy="5" r="1.800" fill="#f04a5d" />
      <circle cx="11.500" cy="5.500" r="1.500" fill="#8e7bf0" />
      <circle cx="27.500" cy="20.500" r="1.500" fill="#4a90d9" />
    </>
  ),
};
