/** Emoji to choose from, each with words by which it is found, in English and Korean. The font is the platform's. */
export interface Emoji {
  sign: string;
  words: string;
}

/** One a line: the sign, English words, Korean words. Kept to what is used in chats. */
const LIST = `
😀 grin happy smile | 웃음 미소 행복
😃 smile joy happy | 웃음 기쁨
😄 laugh smile happy | 웃음 하하
😁 beam grin teeth | 활짝 웃음
😆 laugh haha squint | 하하 깔깔
😅 sweat nervous relief | 식은땀 휴
🤣 rofl laugh floor | 폭소 데굴데굴
😂 joy tears laugh lol | 눈물 웃음 ㅋㅋㅋ
🙂 slight smile | 미소
🙃 upside down | 거꾸로 농담
😉 wink | 윙크
😊 blush smile | 수줍음 미소
😇 angel halo innocent | 천사
🥰 love hearts smile | 사랑 하트
😍 love heart eyes | 반함 하트눈
🤩 star struck wow | 반짝 와 스타
😘 kiss heart | 뽀뽀 키스
😋 yum tasty | 맛있다 냠냠
😛 tongue | 메롱
😜 wink tongue crazy | 메롱 장난
🤪 zany crazy | 미친 장난
🤗 hug | 포옹 안아
🤭 oops giggle hand | 쿡쿡 어머
🤫 quiet shush | 쉿 조용
🤔 think hmm | 생각 음
🤨 doubt eyebrow | 의심
😐 neutral meh | 무표정
😑 expressionless | 무표정
😶 no mouth speechless | 말없음
😏 smirk | 썩소
😒 unamused annoyed | 짜증 불만
🙄 eye roll | 눈굴림 어이없음
😬 grimace awkward | 어색
😌 relieved calm | 안도 편안
😔 sad pensive | 슬픔 우울
😪 sleepy | 졸림
😴 sleep zzz | 잠 쿨쿨
😷 mask sick | 마스크 아픔
🤒 sick fever | 열 아픔
🤢 sick nausea | 메스꺼움
🤮 vomit | 토
🥵 hot | 더움
🥶 cold freeze | 추움
😵 dizzy | 어지러움
🤯 mind blown | 충격 폭발
🥳 party celebrate | 파티 축하
😎 cool sunglasses | 멋짐 선글라스
🤓 nerd glasses | 공부 안경
😕 confused | 헷갈림
😟 worried | 걱정
🙁 frown sad | 찡그림 슬픔
😮 wow surprise open | 놀람 오
😲 astonished wow | 깜짝 놀람
😳 flushed | 당황 부끄
🥺 please puppy | 제발 부탁
😢 cry sad tear | 눈물 슬픔 ㅠㅠ
😭 sob cry loud | 엉엉 울음 ㅠㅠ
😱 scream fear | 비명 공포
😤 huff triumph | 흥 씩씩
😡 angry mad red | 화남 분노
😠 angry | 화남
🤬 swear curse | 욕
😈 devil smile | 악마
💀 skull dead | 해골 죽음
💩 poop | 똥
🤡 clown | 광대
👻 ghost | 유령
👽 alien | 외계인
🤖 robot bot | 로봇
👋 wave hello bye hi | 안녕 손인사
🤚 hand back | 손등
✋ hand stop high five | 손 멈춤
👌 ok perfect | 오케이 좋아
🤏 pinch little | 조금
✌️ peace victory | 브이 평화
🤞 luck fingers crossed | 행운
🤟 love you hand | 사랑해
🤘 rock horns | 락
👈 left point | 왼쪽
👉 right point | 오른쪽
👆 up point | 위
👇 down point | 아래
👍 like thumbs up yes good | 좋아요 최고 따봉
👎 dislike thumbs down no | 싫어요 별로
✊ fist | 주먹
👊 punch fist bump | 주먹
👏 clap applause | 박수
🙌 hooray hands raised | 만세
👐 open hands | 두손
🤝 handshake deal | 악수
🙏 please thanks pray | 부탁 감사 기도
💪 strong muscle | 힘 근육
🫶 heart hands love | 손하트
🫰 finger heart | 손가락하트
🙇 bow sorry thanks | 인사 죄송 감사
🙋 raise hand question | 저요 질문
🤷 shrug dunno | 글쎄 모름
🤦 facepalm | 이마 한숨
💁 info tip | 안내
🙆 ok gesture | 오케이 동그라미
🙅 no gesture | 안돼 엑스
👀 eyes look | 눈 보기
🧠 brain | 뇌
👑 crown king queen | 왕관
❤️ heart love red | 하트 사랑
🧡 orange heart | 주황 하트
💛 yellow heart | 노란 하트
💚 green heart | 초록 하트
💙 blue heart | 파란 하트
💜 purple heart | 보라 하트
🖤 black heart | 검은 하트
🤍 white heart | 흰 하트
💔 broken heart | 이별 깨진 하트
💕 two hearts | 하트 사랑
💖 sparkling heart | 반짝 하트
💯 hundred perfect | 백점 만점
💢 anger | 화
💥 boom collision | 쾅 충돌
💦 sweat drops | 땀 물
💤 sleep zzz | 잠
💬 speech chat | 말풍선 채팅
🔥 fire lit hot | 불 대박
✨ sparkles | 반짝
⭐ star | 별
🌟 glowing star | 빛나는 별
🌈 rainbow | 무지개
☀️ sun weather | 해 날씨
🌙 moon night | 달 밤
⚡ lightning zap | 번개
❄️ snow cold | 눈 겨울
🌸 cherry blossom flower | 벚꽃 꽃
🌹 rose flower | 장미
🍀 clover luck | 네잎클로버 행운
🐶 dog puppy | 강아지 개
🐱 cat | 고양이
🐭 mouse | 쥐
🐰 rabbit | 토끼
🦊 fox | 여우
🐻 bear | 곰
🐼 panda | 판다
🐯 tiger | 호랑이
🦁 lion | 사자
🐷 pig | 돼지
🐸 frog | 개구리
🐵 monkey | 원숭이
🐔 chicken | 닭
🐧 penguin | 펭귄
🦄 unicorn | 유니콘
🐢 turtle slow | 거북이
🐙 octopus | 문어
🐳 whale | 고래
🍎 apple | 사과
🍉 watermelon | 수박
🍓 strawberry | 딸기
🍕 pizza | 피자
🍔 burger | 햄버거
🍗 chicken leg | 치킨 닭다리
🍜 noodles ramen | 라면 국수
🍚 rice | 밥
🍣 sushi | 초밥
🥟 dumpling | 만두
🍰 cake | 케이크
🎂 birthday cake | 생일 케이크
🍦 ice cream | 아이스크림
🍿 popcorn movie | 팝콘 영화
☕ coffee tea | 커피 차
🍺 beer | 맥주
🍻 cheers beer | 건배
🥂 toast cheers | 건배 축배
⚽ football soccer | 축구
🏀 basketball | 농구
⚾ baseball | 야구
🎮 game controller | 게임
🎲 dice game | 주사위
🏆 trophy win | 우승 트로피
🥇 gold medal first | 금메달 일등
🎉 tada party celebrate | 축하 파티
🎊 confetti | 축하
🎁 gift present | 선물
🎈 balloon | 풍선
🎵 music note | 음악 노래
🎶 music notes | 음악 노래
🎤 microphone sing | 마이크 노래
🎧 headphones | 헤드폰
🎸 guitar | 기타
🎬 film clapper | 영화
📷 camera photo | 사진 카메라
💻 laptop computer | 노트북 컴퓨터
📱 phone mobile | 휴대폰
💡 idea light bulb | 아이디어 전구
📌 pin | 핀 고정
📎 paperclip | 클립
✏️ pencil write | 연필
📚 books study | 책 공부
📅 calendar date | 달력 날짜
⏰ alarm clock time | 알람 시간
⌛ hourglass wait | 모래시계 기다림
🔔 bell notify | 종 알림
🔒 lock | 잠금
🔑 key | 열쇠
💰 money | 돈
🚀 rocket launch | 로켓
✈️ plane travel | 비행기 여행
🚗 car | 자동차
🚲 bicycle bike | 자전거
🏠 house home | 집
🌏 earth asia | 지구 아시아
✅ check done yes | 체크 완료
❌ cross no wrong | 엑스 아니
❓ question | 물음표
❗ exclamation | 느낌표
⚠️ warning | 경고 주의
🆗 ok | 오케이
🆕 new | 새로운
🔴 red circle live | 빨간 원 라이브
🟢 green circle online | 초록 원
➕ plus | 더하기
🇰🇷 korea flag | 한국 대한민국 태극기
`;

/** All of them. */
export const EMOJI: readonly Emoji[] = LIST.trim()
  .split('\n')
  .map((line) => {
    const [sign = '', ...words] = line.split(' ');
    return { sign, words: words.filter((word) => word !== '|').join(' ') };
  });

/** Those of which some word begins with what was typed, in either language. */
export function findEmoji(query: string): readonly Emoji[] {
  const asked = query.trim().toLowerCase();
  if (asked === '') return EMOJI;
  return EMOJI.filter(({ sign, words }) => sign === asked || ` ${words}`.includes(` ${asked}`));
}
