import { get } from "../api/client";
import type { List, RequestRow } from "../api/types";
import { Resource } from "./resource.svelte";

/** How many of the latest requests Home shows. */
export const latestCount = 5;

/** The latest requests, newest first. */
export const latest = new Resource<List<RequestRow>>({
	load: (signal) => get<List<RequestRow>>(`/api/requests?limit=${latestCount}`, { signal }),
	topics: ["request"],
	pace: 300,
});
