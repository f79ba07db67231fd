import { get, patch, post, put, query } from "../api/client";
import type { List, Model, Routing } from "../api/types";
import type { AliasChange, RouteQuery, RouteView, ThinkingChange } from "../api/types.gen";
import { Resource } from "./resource.svelte";

/** Everything that decides where requests go. */
export const routing = new Resource<Routing>({
	load: (signal) => get<Routing>("/api/routing", { signal }),
	topics: ["route", "config", "account"],
});

async function change(what: string, body: object): Promise<void> {
	routing.set(await put<Routing>(`/api/routing/${what}`, body));
}

/** Says who steps in where a provider, or a model of it, has no usable account; no steps take the chain away. */
export const setChain = (of: string, steps: readonly string[]) => change("chains", { of, steps });

/** Gives a model another name; an empty target takes the name away. */
export const setAlias = (alias: AliasChange) => change("aliases", alias);

/** Says what stands in for a model that nobody can serve; no targets take it away. */
export const setFallback = (model: string, targets: readonly string[]) => change("fallbacks", { model, targets });

/** Says which models no list shows. */
export const setHidden = (patterns: readonly string[]) => change("hidden", { patterns });

/** Says how much the models of a provider think; what is left out stays, "" takes it away. */
export const setThinking = (thinking: ThinkingChange) => change("thinking", thinking);

/** Puts another provider at the head of the default chain: all of it holds, or nothing. */
export async function setHead(values: Record<string, unknown>): Promise<void> {
	await patch("/api/settings", values);
	await routing.reload();
}

/** Where such a request would go now, and why. Nothing is sent. */
export function explain(asked: RouteQuery, signal: AbortSignal): Promise<RouteView> {
	return post<RouteView>("/api/routing/explain", asked, { signal });
}

/** The models of one provider. */
export function modelsOf(provider: string): Resource<List<Model>> {
	return new Resource<List<Model>>({
		load: (signal) => get<List<Model>>("/api/models" + query({ provider }), { signal }),
		topics: ["route", "config", "account"],
		pace: 2000,
	});
}
