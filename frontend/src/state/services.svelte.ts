import { get, post, remove } from "../api/client";
import { ApiError } from "../api/errors";
import type { Account, List, Preset, Provider, TestResult } from "../api/types";
import { accounts } from "./accounts.svelte";
import { Resource } from "./resource.svelte";

/** A service that an account can be added to by a key: a provider that is there, or one of the known services. */
export interface Service {
	/** id of the provider, "" = it is made from the preset */
	provider: string;
	preset: string;
	name: string;
	region?: string | undefined;
	keyURL?: string | undefined;
	noKey: boolean;
}

/** The services, those with providers first, then by name. */
export const services = new Resource<Service[]>({
	load: async (signal) => {
		const [providers, presets] = await Promise.all([
			get<List<Provider>>("/api/providers", { signal }),
			get<List<Preset>>("/api/presets", { signal }),
		]);
		return merge(providers.items, presets.items);
	},
	topics: ["config"],
	pace: 2000,
});

function merge(providers: Provider[], presets: Preset[]): Service[] {
	const out: Service[] = providers
		.filter((p) => p.status !== "discontinued" && !p.risk && (p.user_defined || !p.logins?.some((l) => l.kind !== "key")) && p.kind !== "forward")
		.map((p) => ({ provider: p.id, preset: "", name: p.name, keyURL: p.key_url, noKey: !!p.no_key }));
	const names = new Set(out.map((s) => s.name));
	for (const p of presets) {
		if (!p.usable || !p.base_url || p.provider || names.has(p.name)) continue;
		out.push({ provider: "", preset: p.id, name: p.name, region: p.region, keyURL: p.key_url, noKey: !!p.no_key });
	}
	return out;
}

/** Adds an account, asks its service for what is free, and takes it away again if the key is refused. */
export async function addByKey(service: Service, key: string): Promise<Account> {
	const provider = service.provider || (await post<Provider>("/api/providers", { id: service.preset, preset: service.preset })).id;
	const account = await post<Account>("/api/accounts", { provider, ...(key && { key }) });
	const test = await post<TestResult>(`/api/accounts/${account.id}/test`);
	if (!test.ok) {
		await remove(`/api/accounts/${account.id}`);
		await accounts.reload();
		throw new ApiError(test.kind ?? "", test.message ?? "", "key", 400);
	}
	await accounts.reload();
	return account;
}
