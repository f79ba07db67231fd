import { post } from "../api/client";
import type { Status } from "../api/types";
import { status } from "./status.svelte";

/** Refuses new requests until Patchbay goes on; what runs is finished. */
export async function pause(): Promise<void> {
	status.set(await post<Status>("/api/pause"));
}

export async function goOn(): Promise<void> {
	status.set(await post<Status>("/api/resume"));
}
