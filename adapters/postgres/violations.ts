import pg from 'pg';

/** Whether the statement was refused by this very constraint or unique index. */
export const violated = (error: unknown, constraint: string): boolean =>
  error instanceof pg.DatabaseError && error.constraint === constraint;
