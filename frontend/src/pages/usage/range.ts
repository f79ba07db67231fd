import type { UsageTime } from "../../state/usage.svelte";

export const ranges = ["today", "7", "30", "custom"] as const;
export type Range = (typeof ranges)[number];

const dayMS = 86_400_000;
const hourlyDays = 2; // up to so many days are drawn by the hour

/** The day of a moment as a date field has it. */
export function dateValue(at: Date): string {
	const pad = (n: number) => String(n).padStart(2, "0");
	return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
}

function midnight(days: number, now: Date): number {
	return new Date(now.getFullYear(), now.getMonth(), now.getDate() - days).getTime();
}

/** What the address says: a range, and two days for a chosen one, both whole. */
export function timeOf(query: URLSearchParams, now = new Date()): { range: Range; time: UsageTime; from: string; to: string } {
	const said = query.get("range") ?? "7";
	const range = ranges.find((r) => r === said) ?? "7";
	const from = query.get("from") || dateValue(new Date(midnight(6, now)));
	const to = query.get("to") || dateValue(now);
	if (range === "today") return { range, from, to, time: { since: midnight(0, now), until: 0, bucket: "hour" } };
	if (range !== "custom") return { range, from, to, time: { since: midnight(Number(range) - 1, now), until: 0, bucket: "day" } };
	const since = new Date(from + "T00:00:00").getTime() || midnight(6, now);
	const last = new Date(to + "T00:00:00");
	const end = last.getTime() ? new Date(last.getFullYear(), last.getMonth(), last.getDate() + 1).getTime() : midnight(-1, now);
	const until = Math.max(end, since + dayMS);
	return { range, from, to, time: { since, until: Math.min(until, midnight(-1, now)), bucket: until - since <= hourlyDays * dayMS ? "hour" : "day" } };
}
