/** Recommended scripts (UAX 31, table 5): those that people write names in today. */
export const SCRIPTS = [
  ...[
    'Arab',
    'Armn',
    'Beng',
    'Bopo',
    'Cyrl',
    'Deva',
    'Ethi',
    'Geor',
    'Grek',
    'Gujr',
    'Guru',
    'Hang',
    'Hani',
    'Hebr',
    'Hira',
    'Kana',
    'Khmr',
  ],
  ...['Knda', 'Laoo', 'Latn', 'Mlym', 'Mymr', 'Orya', 'Sinh', 'Taml', 'Telu', 'Thaa', 'Thai', 'Tibt'],
] as const;

/** Scripts that are written together: Japanese, Chinese and Korean, each also with Latin (UTS 39, highly restrictive). */
const TOGETHER = [
  ['Latn', 'Hani', 'Hira', 'Kana'],
  ['Latn', 'Hani', 'Bopo'],
  ['Latn', 'Hani', 'Hang'],
];

/** With what belongs to no script or to any: digits, signs, marks */
const only = (scripts: readonly string[]) =>
  new RegExp(`^[${[...scripts, 'Zyyy', 'Zinh'].map((name) => `\\p{scx=${name}}`).join('')}]+$`, 'u');

const PROFILES = [...SCRIPTS.map((script) => only([script])), ...TOGETHER.map(only)];

/** Whether a text keeps to one script, or to some that are written together: `аdmin` with a Cyrillic а does not. */
export const isOfOneScript = (text: string): boolean => PROFILES.some((profile) => profile.test(text));
