export type Protocol = "openai" | "responses" | "anthropic" | "gemini" | "ollama";

/** What the tabs say: names of protocols are the same in every language. */
export const protocols: { value: Protocol; label: string }[] = [
	{ value: "openai", label: "OpenAI Chat" },
	{ value: "responses", label: "OpenAI Responses" },
	{ value: "anthropic", label: "Anthropic" },
	{ value: "gemini", label: "Gemini" },
	{ value: "ollama", label: "Ollama" },
];

interface Asked {
	protocol: Protocol;
	base: string;
	/** id of a provider that the path names, "" = Patchbay decides */
	provider: string;
	model: string;
	/** stands where the key belongs */
	key: string;
}

/** The base URL for an app: with a provider in it, that one answers whatever the model is called. */
export function baseURL({ protocol, base, provider }: Pick<Asked, "protocol" | "base" | "provider">): string {
	const at = provider ? `${base}/${provider}` : base;
	if (protocol === "openai" || protocol === "responses") return at + "/v1";
	if (protocol === "ollama") return provider ? at : at + "/ollama";
	return at;
}

/** A call that can be pasted into a terminal. */
export function curl(asked: Asked): string {
	const url = baseURL(asked);
	const { model, key } = asked;
	const hello = [{ role: "user", content: "Hello" }];
	switch (asked.protocol) {
		case "openai":
			return call(`${url}/chat/completions`, [`Authorization: Bearer ${key}`], { model, messages: hello });
		case "responses":
			return call(`${url}/responses`, [`Authorization: Bearer ${key}`], { model, input: "Hello" });
		case "anthropic":
			return call(`${url}/v1/messages`, [`x-api-key: ${key}`, "anthropic-version: 2023-06-01"], { model, max_tokens: 256, messages: hello });
		case "gemini":
			return call(`${url}/v1beta/models/${model}:generateContent`, [`x-goog-api-key: ${key}`], { contents: [{ parts: [{ text: "Hello" }] }] });
		case "ollama":
			return call(`${url}/api/chat`, [`Authorization: Bearer ${key}`], { model, messages: hello, stream: false });
	}
}

function call(url: string, headers: string[], body: object): string {
	const all = [...headers, "Content-Type: application/json"].map((h) => `  -H '${h}' \\\n`).join("");
	return `curl ${url} \\\n${all}  -d '${JSON.stringify(body)}'`;
}
