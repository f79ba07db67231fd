import { get, query } from "../api/client";
import type { Usage } from "../api/types";
import { Resource } from "./resource.svelte";

/** What was used since midnight, as this computer's clock has it. */
export const today = new Resource<Usage>({
	load: (signal) => get<Usage>("/api/usage" + query({ since: midnight().toISOString() }), { signal }),
	topics: ["request"],
	pace: 3000,
});

function midnight(): Date {
	const d = new Date();
	d.setHours(0, 0, 0, 0);
	return d;
}
