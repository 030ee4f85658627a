import { en, type Texts } from './en';
import { ko } from './ko';

export type { Texts };

type Language = 'en' | 'ko';
const TEXTS: Readonly<Record<Language, Texts>> = { en, ko };

/** The first of the browser's languages that the pages speak; English otherwise. */
export function pickLanguage(preferred: readonly string[]): Language {
  for (const tag of preferred) {
    const primary = tag.toLowerCase().split('-')[0];
    if (primary === 'ko' || primary === 'en') return primary;
  }
  return 'en';
}

/** The language of this page. */
export const language = pickLanguage(navigator.languages);
/** The texts of this page. */
export const t = TEXTS[language];
