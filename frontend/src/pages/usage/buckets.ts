import type { Usage } from "../../api/types";
import type { UsageTime } from "../../state/usage.svelte";

/** One hour or day of the chart. */
export interface Bucket {
	/** ms since 1970 */
	start: number;
	cached: number;
	/** tokens in that came from no cache */
	fresh: number;
	out: number;
	requests: number;
	/** nothing was counted: a gap, not a zero */
	missing: boolean;
}

export const total = (b: Bucket): number => b.cached + b.fresh + b.out;

/** Every hour or day of a time, in this computer's clock, with what was counted in it. */
export function buckets(usage: Usage, time: UsageTime, now: number): Bucket[] {
	const sums = new Map<number, Bucket>();
	for (const row of usage.rows) {
		if (!row.start) continue;
		const start = Date.parse(row.start);
		const b = sums.get(start) ?? empty(start);
		const cached = Math.max(0, row.tokens.cached);
		b.cached += cached;
		b.fresh += Math.max(0, row.tokens.input - cached);
		b.out += Math.max(0, row.tokens.output);
		b.requests += row.requests;
		b.missing = false;
		sums.set(start, b);
	}
	const out: Bucket[] = [];
	const end = time.until || (time.bucket === "hour" ? next(new Date(time.since), "day").getTime() : now); // of today, all hours
	for (let at = new Date(time.since); at.getTime() < end; at = next(at, time.bucket)) out.push(sums.get(at.getTime()) ?? empty(at.getTime()));
	return out;
}

function empty(start: number): Bucket {
	return { start, cached: 0, fresh: 0, out: 0, requests: 0, missing: true };
}

/** The next hour or day; days have 23 to 25 hours. */
function next(at: Date, bucket: UsageTime["bucket"]): Date {
	if (bucket === "hour") return new Date(at.getTime() + 3_600_000);
	return new Date(at.getFullYear(), at.getMonth(), at.getDate() + 1);
}

/** Round numbers for at most four lines above zero. */
export function gridLines(most: number): number[] {
	if (most <= 0) return [];
	const raw = most / 4;
	const power = 10 ** Math.floor(Math.log10(raw));
	const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= raw) ?? raw;
	const out: number[] = [];
	for (let y = step; y <= most * 1.0001; y += step) out.push(y);
	return out.length ? out : [step];
}
