import type { aroundEn } from './around-en';

/** The texts around a call in Korean. */
export const aroundKo: typeof aroundEn = {
  cancel: '취소',
  startName: '통화 이름',
  startNamePlaceholder: '주간 회의 (선택)',
  startTokenHint: '서버 운영자가 통화를 열 수 있는 사람에게 주는 토큰입니다. 이 탭에만 보관됩니다.',
  startTokenNeeded: '초대받은 사람만 통화를 열 수 있는 서버입니다. 크리에이터 토큰을 입력하세요.',
  startTokenRefused:
    '서버가 이 크리에이터 토큰을 받아들이지 않았습니다. 잘못 입력했거나 만료되었을 수 있습니다.',
  startTooMany: '이 주소에서 통화를 너무 많이 만들었습니다. 잠시 뒤 다시 시도하세요.',
};
