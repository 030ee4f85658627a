import { icon } from './icons';

/** Icons of calls. */

export const HandIcon = icon(
  <path d="M7.500 12V6a1.500 1.500 0 0 1 3 0v5m0-6.500a1.500 1.500 0 0 1 3 0V11m0-5a1.500 1.500 0 0 1 3 0v6m0-3.500a1.500 1.500 0 0 1 3 0V14a7 7 0 0 1-7 7c-2.800 0-4.400-1.200-5.800-3.300L4.300 14.200a1.600 1.600 0 0 1 2.600-1.800L8 14" />,
);
export const SmileIcon = icon(
  <>
    <circle cx="12" cy="12" r="8.500" />
    <path d="M8.500 14.200a4.200 4.200 0 0 0 7 0M9 9.600v.1m6-.1v.1" />
  </>,
);
export const GridIcon = icon(
  <>
    <rect x="3.500" y="5" width="7.500" height="6" rx="1.500" />
    <rect x="13" y="5" width="7.500" height="6" rx="1.500" />
    <rect x="3.500" y="13" width="7.500" height="6" rx="1.500" />
    <rect x="13" y="13" width="7.500" height="6" rx="1.500" />
  </>,
);
export const SpeakerViewIcon = icon(
  <>
    <rect x="3.500" y="5" width="12" height="14" rx="2" />
    <path d="M19 5.800v2.400m0 2.600v2.400m0 2.600v2.400" strokeWidth="2.600" />
  </>,
);
export const PeopleIcon = icon(
  <>
    <circle cx="9" cy="8.500" r="3.300" />
    <path d="M2.800 19a6.200 6.200 0 0 1 12.400 0M15.500 5.600a3.300 3.300 0 0 1 0 5.800m2 2.400a6.200 6.200 0 0 1 3.700 5.200" />
  </>,
);
export const ChatIcon = icon(
  <path d="M5.500 5h13A2.500 2.500 0 0 1 21 7.500v7a2.500 2.500 0 0 1-2.500 2.500H11l-4.500 3.500V17h-1A2.500 2.500 0 0 1 3 14.500v-7A2.500 2.500 0 0 1 5.500 5Z" />,
);
export const MoreIcon = icon(<path d="M12 5.500v.1m0 6.400v.1m0 6.400v.1" strokeWidth="2.800" />);
export const LeaveIcon = icon(
  <path
    d="M3.200 13.600c-.5-1 .1-2.200.9-2.900 4.300-3.600 11.500-3.600 15.800 0 .8.700 1.400 1.900.9 2.900l-.7 1.600c-.3.700-1.100 1-1.800.8l-2.700-.9a1.400 1.400 0 0 1-1-1.300v-1.700a10 10 0 0 0-5.200 0v1.700c0 .600-.4 1.100-1 1.300l-2.700.9c-.7.200-1.500-.1-1.800-.8Z"
    fill="currentColor"
  />,
);
export const PinIcon = icon(<path d="M9 4h6l-.8 5.500L17.500 13h-11l3.300-3.500L9 4Zm3 9v7" />);
export const PictureIcon = icon(
  <>
    <rect x="3" y="5" width="18" height="14" rx="2.500" />
    <rect x="12" y="11.500" width="6.500" height="5" rx="1.200" fill="currentColor" />
  </>,
);
export const SettingsIcon = icon(
  <>
    <circle cx="12" cy="12" r="3" />
    <path d="M12 3.500v2.300m0 12.400v2.300M3.500 12h2.300m12.400 0h2.300M6 6l1.600 1.600m8.800 8.800L18 18M6 18l1.600-1.600m8.800-8.800L18 6" />
  </>,
);
export const KeyboardIcon = icon(
  <>
    <rect x="2.500" y="6" width="19" height="12" rx="2.500" />
    <path d="M6.500 10v.1m3.700-.1v.1m3.700-.1v.1m3.600-.1v.1M8 14.200h8" />
  </>,
);
export const BackIcon = icon(<path d="m14.500 6-6 6 6 6" />);
export const ForwardIcon = icon(<path d="m9.500 6 6 6-6 6" />);
export const BlockedIcon = icon(
  <>
    <circle cx="12" cy="12" r="8.500" />
    <path d="m6.200 6.200 11.600 11.600" />
  </>,
);
