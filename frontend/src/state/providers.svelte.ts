import { get, put } from "../api/client";
import type { List, Provider } from "../api/types";
import { Resource } from "./resource.svelte";
import { status } from "./status.svelte";

/** The providers, with how many accounts of each are in which state. */
export const providers = new Resource<List<Provider>>({
	load: (signal) => get<List<Provider>>("/api/providers", { signal }),
	topics: ["account", "route", "config"],
});

/** What a person calls a provider; its id while the list is not here. */
export function providerName(id: string): string {
	return providers.value?.items.find((p) => p.id === id)?.name ?? id;
}

/** Makes a provider the one that answers when an app names none. */
export async function setDefaultProvider(id: string): Promise<void> {
	await put("/api/default-provider", { provider: id });
	await Promise.all([providers.reload(), status.reload()]);
}
