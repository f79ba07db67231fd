import { get, query, send } from "../api/client";
import type { RequestPage, Usage } from "../api/types";
import { Resource } from "./resource.svelte";

/** The time that is looked at, and how it is cut. */
export interface UsageTime {
	/** ms since 1970 */
	since: number;
	/** 0 = until now */
	until: number;
	bucket: "hour" | "day";
}

export type UsageGroup = "model" | "account" | "app";

export interface UsageSums {
	/** what was asked for, so that a chart never mixes two ranges */
	time: UsageTime;
	usage: Usage;
	/** requests that needed more than one try, as far as the log reaches */
	retried: number;
}

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const dimensions: Record<UsageGroup, string> = { model: "provider,model", account: "provider,account", app: "key" };

let time: UsageTime = { since: 0, until: 0, bucket: "day" };
let group: UsageGroup = "model";

function span(of: UsageTime): Record<string, string> {
	return { since: new Date(of.since).toISOString(), until: of.until ? new Date(of.until).toISOString() : "", zone };
}

/** Everything that was used in the chosen time, by hour or day. */
export const usage = new Resource<UsageSums>({
	load: async (signal) => {
		const asked = time;
		const { zone: _, ...between } = span(asked);
		const [sums, log] = await Promise.all([
			get<Usage>("/api/usage" + query({ by: "provider", bucket: asked.bucket, ...span(asked) }), { signal }),
			get<RequestPage>("/api/requests" + query({ limit: 1, ...between }), { signal }),
		]);
		return { time: asked, usage: sums, retried: log.counts?.retried ?? 0 };
	},
	topics: ["request", "config"],
	pace: 3000,
});

/** The same time by provider and model, by account, or by app. */
export const usageTable = new Resource<{ group: UsageGroup; usage: Usage }>({
	load: async (signal) => {
		const asked = group;
		return { group: asked, usage: await get<Usage>("/api/usage" + query({ by: dimensions[asked], ...span(time) }), { signal }) };
	},
	topics: ["request", "config"],
	pace: 3000,
});

/** Chooses the time; what was shown stays until the new sums are here. */
export async function showTime(next: UsageTime): Promise<void> {
	time = next;
	await Promise.all([usage.reload(), usageTable.reload()]);
}

export async function showGroup(next: UsageGroup): Promise<void> {
	group = next;
	await usageTable.reload();
}

/** The table as a file, by hour or day. */
export async function usageCSV(): Promise<Blob> {
	return (await send("GET", "/api/usage.csv" + query({ by: dimensions[group], bucket: time.bucket, ...span(time) }))).blob();
}
