import type { RouteQuery } from "../../api/types.gen";
import { router } from "../../router.svelte";

/** The protocols that an app may speak, by the names that everybody knows. */
export const protocols = [
	{ value: "openai", label: "OpenAI Chat" },
	{ value: "responses", label: "OpenAI Responses" },
	{ value: "anthropic", label: "Anthropic Messages" },
	{ value: "gemini", label: "Gemini" },
	{ value: "ollama", label: "Ollama" },
];

const needs = ["tools", "images", "documents", "thinking"] as const;
export type Need = (typeof needs)[number];

/** The request that the address describes, so that a link fills the tester in. */
export function askedRoute(): RouteQuery {
	const q = router.query;
	const wanted = (q.get("needs") ?? "").split(",");
	return {
		model: q.get("model") ?? "",
		protocol: q.get("protocol") ?? "openai",
		key: q.get("key") ?? "",
		path_provider: q.get("path") ?? "",
		header_provider: q.get("header") ?? "",
		tokens: Math.max(0, Math.floor(Number(q.get("tokens")) || 0)),
		needs: Object.fromEntries(needs.filter((n) => wanted.includes(n)).map((n) => [n, true])),
	};
}

/** Puts a change of the request into the address. */
export function askRoute(change: { model?: string; protocol?: string; key?: string; path?: string; header?: string; tokens?: string; needs?: string }): void {
	router.setQuery({ ...change, ...(change.protocol === "openai" && { protocol: "" }) });
}

export function toggledNeeds(asked: RouteQuery, need: Need, on: boolean): string {
	return needs.filter((n) => (n === need ? on : asked.needs?.[n])).join(",");
}
