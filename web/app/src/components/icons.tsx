import type { ReactNode } from 'react';

/** An icon of the house: 24 units wide, drawn with lines. */
export function icon(children: ReactNode): () => ReactNode {
  return function Icon() {
    return (
      <svg
        className="icon"
        viewBox="0 0 24 24"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.8"
        strokeLinecap="round"
        strokeLinejoin="round"
        aria-hidden="true"
      >
        {children}
      </svg>
    );
  };
}

const slash = <path d="m3.5 3.5 17 17" />;

export const MicIcon = icon(
  <>
    <rect x="9" y="3" width="6" height="11" rx="3" />
    <path d="M5.5 11.500a6.5 6.5 0 0 0 13 0M12 18v3" />
  </>,
);
export const MicOffIcon = icon(
  <>
    <path d="M9 9v2a3 3 0 0 0 4.9 2.300M15 11V6a3 3 0 0 0-5.7-1.300M5.5 11.500a6.5 6.5 0 0 0 10.7 5M18.5 11.500a6.5 6.5 0 0 1-.5 2.500M12 18v3" />
    {slash}
  </>,
);
export const CameraIcon = icon(
  <>
    <rect x="3" y="6" width="12.5" height="12" rx="3" />
    <path d="m15.5 11 5-3v8l-5-3" />
  </>,
);
export const CameraOffIcon = icon(
  <>
    <path d="M10.5 6h2a3 3 0 0 1 3 3v2l5-3v8l-2-1.200M15.5 15.500A3 3 0 0 1 12.5 18H6a3 3 0 0 1-3-3V9a3 3 0 0 1 2.5-2.95" />
    {slash}
  </>,
);
export const ScreenIcon = icon(
  <>
    <rect x="3" y="4.5" width="18" height="12" rx="2.5" />
    <path d="M9 20.500h6M12 13.500v-6m-2.5 2.500L12 7.500l2.5 2.5" />
  </>,
);
export const ScreenOffIcon = icon(
  <>
    <rect x="3" y="4.5" width="18" height="12" rx="2.5" />
    <path d="M9 20.500h6M9.8 8.300l4.4 4.400m0-4.4-4.4 4.4" />
  </>,
);
export const SoundIcon = icon(
  <path d="M4 9.500v5h3.500L12 18.500v-13L7.5 9.500H4Zm12-.5a4.2 4.2 0 0 1 0 6m2.5-8.500a7.8 7.8 0 0 1 0 11" />,
);
export const SoundOffIcon = icon(
  <path d="M4 9.500v5h3.500L12 18.500v-13L7.5 9.500H4Zm12 .3 4.5 4.500m0-4.500L16 14.3" />,
);
export const FullscreenIcon = icon(
  <path d="M4 9V6a2 2 0 0 1 2-2h3m6 0h3a2 2 0 0 1 2 2v3m0 6v3a2 2 0 0 1-2 2h-3m-6 0H6a2 2 0 0 1-2-2v-3" />,
);
export const FullscreenExitIcon = icon(
  <path d="M9 4v3a2 2 0 0 1-2 2H4m16 0h-3a2 2 0 0 1-2-2V4m0 16v-3a2 2 0 0 1 2-2h3M4 15h3a2 2 0 0 1 2 2v3" />,
);
export const SwapIcon = icon(
  <path d="M4 8.500h14m-3.5-3.500L18 8.5 14.5 12M20 15.500H6m3.5 3.500L6 15.5 9.5 12" />,
);
export const EyeIcon = icon(
  <>
    <path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12Z" />
    <circle cx="12" cy="12" r="2.8" />
  </>,
);
export const SearchIcon = icon(
  <>
    <circle cx="11" cy="11" r="6.5" />
    <path d="m16 16 4.5 4.5" />
  </>,
);
export const LinkIcon = icon(
  <path d="M10 14a4 4 0 0 0 5.7 0l3.6-3.600a4 4 0 0 0-5.7-5.700l-1 1M14 10a4 4 0 0 0-5.7 0l-3.6 3.600a4 4 0 0 0 5.7 5.700l1-1" />,
);
export const CheckIcon = icon(<path d="m5 12.5 4.5 4.500L19 7.5" />);
export const PlayIcon = icon(<path d="M8 5.500v13l10.5-6.500L8 5.500Z" fill="currentColor" />);
export const PauseIcon = icon(<path d="M8.5 5.500v13m7-13v13" strokeWidth="2.6" />);
export const SendIcon = icon(<path d="M4.5 12 20 4.5 14.5 20l-2.8-6.700L4.5 12Z" />);
export const AlertIcon = icon(
  <path d="M12 8.500v4.500m0 3.200v.1M10.3 4.5 2.9 17.300A2 2 0 0 0 4.6 20.300h14.800a2 2 0 0 0 1.7-3L13.7 4.500a2 2 0 0 0-3.4 0Z" />,
);
export const ChartIcon = icon(<path d="M4 20V4m0 16h16M8.5 16v-4m4 4V8m4 8v-6" />);
export const StopIcon = icon(<rect x="6" y="6" width="12" height="12" rx="2" fill="currentColor" />);

export const ReplyIcon = icon(<path d="M9.5 6 4 11.500 9.500 17M4.500 11.500H14a6 6 0 0 1 6 6" />);
export const EditIcon = icon(<path d="m5 19 .8-3.800L16 5l3 3L8.800 18.200 5 19Zm9-12 3 3" />);
export const TrashIcon = icon(
  <path d="M4.500 7h15M10 4h4M7 7l.8 12a1.500 1.500 0 0 0 1.500 1.400h5.400a1.500 1.500 0 0 0 1.500-1.400L17 7M10.500 11v5.500m3-5.500v5.500" />,
);
export const MoreIcon = icon(<path d="M6 12h.01M12 12h.01M18 12h.01" strokeWidth="3" />);
export const PinIcon = icon(
  <path d="m14.500 4 5.500 5.500-3.500 1-3.500 3.500-.5 4L6 11.500l4-.5 3.500-3.500 1-3.500ZM9 15l-5 5" />,
);
export const SmileIcon = icon(
  <>
    <circle cx="12" cy="12" r="8.500" />
    <path d="M8.500 14.200a4 4 0 0 0 7 0M9 9.500v.6m6-.6v.6" />
  </>,
);

export const HandIcon = icon(
  <path d="M8 12V6.200a1.500 1.500 0 0 1 3 0V11m0-6.300V4.500a1.500 1.500 0 0 1 3 0V11m0-4.800a1.500 1.500 0 0 1 3 0V14c0 4-2.300 6.800-6 6.800-2.700 0-4.200-1.300-5.400-3.600l-2-3.900c-.900-1.700 1.100-2.900 2.300-1.500L8 14V9" />,
);
export const LockIcon = icon(
  <>
    <rect x="5" y="10.500" width="14" height="9.500" rx="2" />
    <path d="M8 10.500V8a4 4 0 0 1 8 0v2.500" />
  </>,
);
export const UnlockIcon = icon(
  <>
    <rect x="5" y="10.500" width="14" height="9.500" rx="2" />
    <path d="M8 10.500V7.500a4 4 0 0 1 7.700-1.500" />
  </>,
);
export const CloseIcon = icon(<path d="m6 6 12 12M18 6 6 18" />);
export const ChevronIcon = icon(<path d="m7 10 5 5 5-5" />);
export const SettingsIcon = icon(
  <>
    <circle cx="12" cy="12" r="3" />
    <path d="M12 3.500v3m0 11v3M3.500 12h3m11 0h3M6 6l2.100 2.100m7.800 7.800L18 18M18 6l-2.100 2.100m-7.800 7.800L6 18" />
  </>,
);
export const PersonOffIcon = icon(
  <>
    <circle cx="10" cy="8" r="3.500" />
    <path d="M3.500 20c.4-3.800 3-6 6.500-6 1.500 0 2.800.4 3.900 1.100M15.500 16.500l5 5m0-5-5 5" />
  </>,
);

/** The mark of the product: a courtyard from above, open to the street; also the first letter of its Korean name. */
export function Mark(): ReactNode {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="9" fill="var(--accent)" />
      <path
        d="M9.5 7h13A2.5 2.5 0 0 1 25 9.500v13a2.5 2.5 0 0 1-2.5 2.500H19v-3h3V10H10v12h3v3H9.500A2.5 2.5 0 0 1 7 22.500v-13A2.5 2.5 0 0 1 9.5 7Z"
        fill="var(--on-accent)"
      />
      <circle cx="16" cy="16" r="3" fill="var(--on-accent)" />
    </svg>
  );
}
export const QualityIcon = icon(
  <>
    <path d="M4 7h9.500m4 0H20M4 12h2.500m4 0H20M4 17h7.500m4 0H20" />
    <circle cx="15.500" cy="7" r="2" />
    <circle cx="8.500" cy="12" r="2" />
    <circle cx="13.500" cy="17" r="2" />
  </>,
);
