import { get } from "../api/client";
import type { RecordView } from "../api/types";
import { Resource } from "./resource.svelte";

/** How much of the past is kept, and what bounds it. */
export const record = new Resource<RecordView>({
	load: (signal) => get<RecordView>("/api/record", { signal }),
	topics: ["config"],
	pace: 2000,
});
