import { icon } from '../icons';

export const TheatreIcon = icon(<rect x="2.5" y="6.5" width="19" height="11" rx="2" />);
export const FloatIcon = icon(
  <>
    <path d="M21 11V7a2 2 0 0 0-2-2H5a2 2 0 0 0-2 2v10a2 2 0 0 0 2 2h5" />
    <rect x="13" y="13.500" width="8.5" height="6" rx="1.5" />
  </>,
);
export const HelpIcon = icon(
  <>
    <rect x="2.5" y="6" width="19" height="12" rx="2.5" />
    <path d="M6.500 10h.01M10.200 10h.01M13.800 10h.01M17.500 10h.01M8 14h8" />
  </>,
);
