import { DateTime, IANAZone } from 'luxon';

/**
 * Quota windows last 24 hours on the tenant's own clock: they end at local midnight of an IANA zone, so a window is 23 or
 * 25 hours long where the clocks change.
 */
export function nextReset(now: Date, zone: string): Date {
  return DateTime.fromJSDate(now, { zone }).startOf('day').plus({ days: 1 }).startOf('day').toJSDate();
}

export const isZone = (zone: string): boolean => IANAZone.isValidZone(zone);
