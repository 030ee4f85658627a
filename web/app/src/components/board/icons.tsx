import { icon } from '../icons';

/** Icons of the whiteboard. */

export const BoardIcon = icon(
  <>
    <rect x="3.500" y="4.500" width="17" height="12" rx="2" />
    <path d="M9 20.500 12 16.500l3 4M7.500 12.500c2-4 3-4 4-1.500s2 2 5-2.500" />
  </>,
);
export const SelectIcon = icon(<path d="m5.500 4 13 6.500-5.700 1.800L10.500 18z" />);
export const MoveIcon = icon(
  <path d="M12 3.500v17m-8.500-8.500h17M12 3.500 9.500 6M12 3.500 14.500 6M12 20.500 9.500 18m2.500 2.500 2.500-2.500M3.500 12 6 9.500M3.500 12 6 14.500M20.500 12 18 9.500m2.500 2.500L18 14.500" />,
);
export const PenIcon = icon(
  <path d="m4 20 1.200-4.500L16 4.700a2 2 0 0 1 2.800 0l.5.5a2 2 0 0 1 0 2.800L8.500 18.800z" />,
);
export const MarkerIcon = icon(
  <path d="M9 14.500 17.500 4l3.500 3-9 10H8.500zM8.500 17 6 20H3.500l2.500-4 3-1.500M13 20.500h8" />,
);
export const LineIcon = icon(<path d="M5 19 19 5" />);
export const ArrowIcon = icon(<path d="M5 19 19 5m-8.500 0H19v8.500" />);
export const RectangleIcon = icon(<rect x="4" y="5.500" width="16" height="13" />);
export const EllipseIcon = icon(<ellipse cx="12" cy="12" rx="8.500" ry="6.500" />);
export const TextIcon = icon(<path d="M5 7.500V5h14v2.500M12 5v14m-3 0h6" />);
export const NoteIcon = icon(<path d="M4.500 4.500h15v9.500l-5.500 5.500H4.500zM19.500 14H14v5.500" />);
export const EraserIcon = icon(
  <path d="m8 19.500-4-4a1.500 1.500 0 0 1 0-2.100l8.400-8.400a1.500 1.500 0 0 1 2.100 0l5 5a1.500 1.500 0 0 1 0 2.100L12.100 19.500zM8.500 9l6.500 6.500M8 19.500h12" />,
);
export const LaserIcon = icon(
  <>
    <circle cx="12" cy="12" r="2.500" />
    <path d="M12 3.500v3m0 11v3M3.500 12h3m11 0h3M6 6l2 2m8 8 2 2M18 6l-2 2m-8 8-2 2" />
  </>,
);
export const ImageIcon = icon(
  <>
    <rect x="3.500" y="5" width="17" height="14" rx="2" />
    <path d="m4 16.500 5-5 4.500 4.500 2.500-2.500 4 4" />
    <circle cx="15.500" cy="9.500" r="1.300" />
  </>,
);
export const UndoIcon = icon(<path d="M8.500 5.500 4.500 9.500l4 4M4.500 9.500H14a5 5 0 0 1 0 10h-3" />);
export const RedoIcon = icon(<path d="m15.500 5.500 4 4-4 4m4-4H10a5 5 0 0 0 0 10h3" />);
export const FitIcon = icon(<path d="M4.500 9V4.500H9m6 0h4.500V9m0 6v4.500H15m-6 0H4.500V15" />);
export const PlusIcon = icon(<path d="M12 5v14M5 12h14" />);
export const MinusIcon = icon(<path d="M5 12h14" />);
export const FillIcon = icon(<rect x="5" y="5" width="14" height="14" rx="2" fill="currentColor" />);
export const DashIcon = icon(<path d="M4 12h3.500m3 0h3m3 0H20" />);
export const TrashIcon = icon(
  <path d="M4.500 7h15M9.500 7V4.500h5V7m-8 0 1 12.500h9l1-12.500M10 10.500v5.500m4-5.500v5.500" />,
);
export const CopyIcon = icon(
  <>
    <rect x="8.500" y="8.500" width="11" height="11" rx="2" />
    <path d="M15.500 5.500a1 1 0 0 0-1-1h-9a1 1 0 0 0-1 1v9a1 1 0 0 0 1 1" />
  </>,
);
export const GroupIcon = icon(
  <path d="M4.500 7.500v-3h3m9 0h3v3m0 9v3h-3m-9 0h-3v-3M8 8h5v5H8zm5 3h3v5h-5v-3" />,
);
export const LockIcon = icon(
  <>
    <rect x="5.500" y="10.500" width="13" height="9" rx="2" />
    <path d="M8.500 10.500V8a3.500 3.500 0 0 1 7 0v2.500" />
  </>,
);
export const LayersIcon = icon(<path d="m12 4 8.500 4.500L12 13 3.500 8.500zM4 13l8 4.500 8-4.500" />);
export const PresentIcon = icon(
  <path d="M4 5h16M5.500 5v9.500h13V5M12 14.500V18m-3 2.500 3-2.500 3 2.500M11 8l3 1.800-3 1.800z" />,
);
export const SaveIcon = icon(<path d="M12 4v10.500m-4-4 4 4 4-4M4.500 16v3.500h15V16" />);
export const AlignIcon = icon(<path d="M4.500 4v16M8 7.500h11.500v3H8zm0 6h7v3H8z" />);
