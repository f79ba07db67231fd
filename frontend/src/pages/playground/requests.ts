import type { Sent } from "../../state/playground";
import type { Protocol } from "../home/examples";

export type Thinking = "" | "low" | "medium" | "high";

/** What a person asks for. */
export interface Asked {
	protocol: Protocol;
	/** id of a provider that the address names, "" = Patchbay decides */
	provider: string;
	model: string;
	system: string;
	text: string;
	/** pictures as data: URLs */
	images: string[];
	tools: boolean;
	thinking: Thinking;
	stream: boolean;
}

/** A tool for trying out calls; nobody runs it. */
const tool = {
	name: "get_weather",
	description: "Returns the weather of a city",
	parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

const budget = { low: 2048, medium: 8192, high: 16384 };
const answerTokens = 4096;

function parts(url: string): { type: string; data: string } {
	const [, type = "image/png", data = ""] = /^data:([^;]+);base64,(.*)$/s.exec(url) ?? [];
	return { type, data };
}

/** The call that an app which speaks the protocol would make. */
export function requestOf(a: Asked): Sent {
	const root = a.provider ? `/${a.provider}` : "";
	switch (a.protocol) {
		case "openai":
			return { path: `${root}/v1/chat/completions`, headers: {}, body: chat(a) };
		case "responses":
			return { path: `${root}/v1/responses`, headers: {}, body: responses(a) };
		case "anthropic":
			return { path: `${root}/v1/messages`, headers: { "anthropic-version": "2023-06-01" }, body: messages(a) };
		case "gemini": {
			const call = a.stream ? "streamGenerateContent?alt=sse" : "generateContent";
			return { path: `${root}/v1beta/models/${a.model}:${call}`, headers: {}, body: gemini(a) };
		}
		case "ollama":
			return { path: a.provider ? `${root}/api/chat` : "/ollama/api/chat", headers: {}, body: ollama(a) };
	}
}

function chat(a: Asked) {
	const content = a.images.length ? [{ type: "text", text: a.text }, ...a.images.map((url) => ({ type: "image_url", image_url: { url } }))] : a.text;
	return {
		model: a.model,
		messages: [...(a.system ? [{ role: "system", content: a.system }] : []), { role: "user", content }],
		...(a.tools && { tools: [{ type: "function", function: tool }] }),
		...(a.thinking && { reasoning_effort: a.thinking }),
		...(a.stream && { stream: true, stream_options: { include_usage: true } }),
	};
}

function responses(a: Asked) {
	const content = [{ type: "input_text", text: a.text }, ...a.images.map((url) => ({ type: "input_image", image_url: url }))];
	return {
		model: a.model,
		...(a.system && { instructions: a.system }),
		input: a.images.length ? [{ role: "user", content }] : a.text,
		...(a.tools && { tools: [{ type: "function", ...tool }] }),
		...(a.thinking && { reasoning: { effort: a.thinking, summary: "auto" } }),
		...(a.stream && { stream: true }),
	};
}

function messages(a: Asked) {
	const images = a.images.map((url) => {
		const { type, data } = parts(url);
		return { type: "image", source: { type: "base64", media_type: type, data } };
	});
	const thinks = a.thinking ? budget[a.thinking] : 0;
	return {
		model: a.model,
		max_tokens: answerTokens + thinks,
		...(a.system && { system: a.system }),
		messages: [{ role: "user", content: images.length ? [...images, { type: "text", text: a.text }] : a.text }],
		...(a.tools && { tools: [{ name: tool.name, description: tool.description, input_schema: tool.parameters }] }),
		...(thinks && { thinking: { type: "enabled", budget_tokens: thinks } }),
		...(a.stream && { stream: true }),
	};
}

function gemini(a: Asked) {
	const images = a.images.map((url) => {
		const { type, data } = parts(url);
		return { inlineData: { mimeType: type, data } };
	});
	return {
		...(a.system && { systemInstruction: { parts: [{ text: a.system }] } }),
		contents: [{ role: "user", parts: [{ text: a.text }, ...images] }],
		...(a.tools && { tools: [{ functionDeclarations: [tool] }] }),
		...(a.thinking && { generationConfig: { thinkingConfig: { thinkingBudget: budget[a.thinking], includeThoughts: true } } }),
	};
}

function ollama(a: Asked) {
	return {
		model: a.model,
		messages: [
			...(a.system ? [{ role: "system", content: a.system }] : []),
			{ role: "user", content: a.text, ...(a.images.length && { images: a.images.map((url) => parts(url).data) }) },
		],
		...(a.tools && { tools: [{ type: "function", function: tool }] }),
		...(a.thinking && { think: a.thinking }),
		stream: a.stream,
	};
}
