import type { Quota } from "../../api/types";

const hour = 3_600_000;
const leastMS = 6 * hour; // of data: below that a pace says nothing

export interface Forecast {
	/** when it is used up at this pace, ms since 1970 */
	until: number;
	/** how long before its reset that is, in ms; 0 = it lasts */
	short: number;
}

/** How long a window is, read from its name; 0 = unknown. */
export function windowLength(name: string): number {
	const counted = /(\d+)\s*-?\s*(h|d|w|m(?!in))/i.exec(name);
	if (counted) {
		const unit = { h: hour, d: 24 * hour, w: 7 * 24 * hour, m: 30 * 24 * hour }[counted[2]?.toLowerCase() ?? ""] ?? 0;
		return Number(counted[1]) * unit;
	}
	if (/week/i.test(name)) return 7 * 24 * hour;
	if (/month/i.test(name)) return 30 * 24 * hour;
	if (/\bday|daily/i.test(name)) return 24 * hour;
	return 0;
}

/** How long what is left lasts if it goes on like this; nothing where that cannot be said yet. */
export function forecast(q: Quota, now: number): Forecast | undefined {
	const length = windowLength(q.name);
	if (!length || !q.resets_at || q.limit <= 0 || q.resets_at <= now) return undefined;
	const passed = now - (q.resets_at - length);
	if (passed < leastMS || passed > length || q.used >= q.limit) return undefined;
	if (q.used <= 0) return { until: q.resets_at, short: 0 };
	const until = now + ((q.limit - q.used) * passed) / q.used;
	return { until, short: Math.max(0, q.resets_at - until) };
}
