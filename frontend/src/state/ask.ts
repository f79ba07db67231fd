import { get, query, send } from "../api/client";
import { ApiError } from "../api/errors";
import type { List, Model } from "../api/types";
import { t } from "../i18n/index.svelte";
import { latest } from "./latest.svelte";
import { providers } from "./providers.svelte";

export interface Answer {
	text: string;
	provider: string;
	ms: number;
}

/** Asks as an app does, through the model endpoint; the session counts as a key. The model is the first one of the default provider. */
export async function ask(question: string): Promise<Answer> {
	const provider = providers.value?.items.find((p) => p.default)?.id ?? "";
	const { items } = await get<List<Model>>("/api/models" + query({ provider }));
	const model = items.find((m) => m.provider === provider) ?? items[0];
	if (!model) throw new ApiError("model_not_found", t("first.noModel"));
	const began = performance.now();
	try {
		const response = await send("POST", "/v1/chat/completions", { model: model.id, messages: [{ role: "user", content: question }] });
		const body = (await response.json()) as { choices?: { message?: { content?: string } }[] };
		return {
			text: body.choices?.[0]?.message?.content ?? "",
			provider: response.headers.get("X-Patchbay-Provider") ?? provider,
			ms: performance.now() - began,
		};
	} finally {
		void latest.reload(); // one that failed is a request too
	}
}
