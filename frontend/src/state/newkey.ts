import { post } from "../api/client";
import type { CreatedKey, KeyLimits } from "../api/types";
import { keys } from "./keys.svelte";

/** Makes a client key. Its text is in the answer and nowhere else. */
export async function makeKey(name: string, limits?: KeyLimits): Promise<CreatedKey> {
	const made = await post<CreatedKey>("/api/keys", { name, ...(limits && { limits }) });
	void keys.reload();
	return made;
}
