import inter from '@fontsource-variable/inter/wght.css?url';
import noto from '@fontsource-variable/noto-sans-kr/wght.css?url';

/**
 * Loads the fonts beside the page, not before it: until they are there words stand in a font of the device that is as
 * wide (`tokens.css`). Of their files a browser takes the parts that a page needs.
 */
export function loadFonts(): void {
  for (const href of [inter, noto]) {
    const link = document.createElement('link');
    link.rel = 'stylesheet';
    link.href = href;
    document.head.append(link);
  }
}
