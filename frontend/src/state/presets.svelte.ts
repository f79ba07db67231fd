import { get, post } from "../api/client";
import type { List, Provider } from "../api/types";
import type { NewProvider, PresetView } from "../api/types.gen";
import { providers } from "./providers.svelte";
import { Resource } from "./resource.svelte";

/** The services that can be added by their name. */
export const presets = new Resource<List<PresetView>>({
	load: (signal) => get<List<PresetView>>("/api/presets", { signal }),
	topics: ["config"],
});

export async function addProvider(p: NewProvider): Promise<Provider> {
	const made = await post<Provider>("/api/providers", p);
	await Promise.all([providers.reload(), presets.reload()]);
	return made;
}
