export interface FoldOptions {
  /** Shown of a kind in each window; the others are counted */
  shown?: number;
  windowMs?: number;
  /** Says how many of a kind were left out, when their window is over */
  onFolded: (count: number, example: string) => void;
}

/** Kinds at a time: more of them are no flood of one kind, and are shown. */
const MOST_KINDS = 200;
const VARYING = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|\b[0-9a-f]{12,}\b|\d+/gi;

/** Lines that differ only in their ids and numbers are of one kind. */
export const kindOf = (line: string): string => line.replace(VARYING, '#');

/** Keeps a flood of lines of one kind from hiding all others: the first few of each window are let through, of the rest one is told. */
export class FoldedLines {
  private readonly kinds = new Map<string, { seen: number; until: number; example: string }>();
  private readonly shown: number;
  private readonly windowMs: number;

  constructor(private readonly options: FoldOptions) {
    this.shown = options.shown ?? 3;
    this.windowMs = options.windowMs ?? 10_000;
    setInterval(() => this.closeWindows(), this.windowMs).unref();
  }

  /** Whether this line is to be shown. */
  passes(line: string, now = performance.now()): boolean {
    const kind = kindOf(line);
    let known = this.kinds.get(kind);
    if (known && now >= known.until) {
      this.close(kind, known);
      known = undefined;
    }
    if (!known) {
      if (this.kinds.size >= MOST_KINDS) this.closeWindows(now);
      if (this.kinds.size >= MOST_KINDS) return true;
      this.kinds.set(kind, (known = { seen: 0, until: now + this.windowMs, example: line }));
    }
    known.seen++;
    known.example = line;
    return known.seen <= this.shown;
  }

  private closeWindows(now = performance.now()): void {
    for (const [kind, known] of this.kinds) if (now >= known.until) this.close(kind, known);
  }

  private close(kind: string, { seen, example }: { seen: number; example: string }): void {
    this.kinds.delete(kind);
    if (seen > this.shown) this.options.onFolded(seen - this.shown, example);
  }
}
