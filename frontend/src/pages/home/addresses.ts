export interface Address {
	id: "openai" | "anthropic" | "gemini" | "ollama";
	/** what apps call it; names of protocols are the same in every language */
	name: string;
	path: string;
}

/** What to type into an app, by the protocol it speaks. */
export const addresses: Address[] = [
	{ id: "openai", name: "OpenAI, Responses", path: "/v1" },
	{ id: "anthropic", name: "Anthropic", path: "" },
	{ id: "gemini", name: "Gemini", path: "" },
	{ id: "ollama", name: "Ollama", path: "/ollama" },
];
