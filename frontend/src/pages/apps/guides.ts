import { baseURL, curl, type Protocol } from "../home/examples";

/** What stands where a key belongs, until one is made. */
export const noKey = "YOUR_KEY";

/** How an app is pointed at Patchbay. Names of menus and fields are those that the app shows. */
export type Way =
	/** variables for the terminal that the app is started in */
	| { kind: "env"; values: [string, string][] }
	/** lines for a file */
	| { kind: "file"; file: string; code: string }
	/** fields of a form in the app */
	| { kind: "form"; place: string; fields: [string, string][] }
	/** a program, or a call from a terminal */
	| { kind: "code"; title: string; code: string };

export type Note = "browser" | "docker" | "cursor" | "models" | "zed" | "codex";

export interface Asked {
	base: string;
	/** id of a provider that the address names, "" = Patchbay decides */
	provider: string;
	model: string;
	key: string;
}

export interface Guide {
	id: string;
	name: string;
	protocol: Protocol;
	/** the address that this app wants: some add "/v1" themselves */
	root?: boolean;
	ways: (asked: Asked, url: string) => Way[];
	notes?: Note[];
}

const root = (a: Asked) => (a.provider ? `${a.base}/${a.provider}` : a.base);

/** The address to type into an app. */
export function addressOf(guide: Guide, asked: Asked): string {
	return guide.root ? root(asked) : baseURL({ ...asked, protocol: guide.protocol });
}

const json = (value: unknown) => JSON.stringify(value, null, 2);

/** The apps by how many people use them with an address of their own. Each as its public documentation says. */
export const guides: Guide[] = [
	{
		// code.claude.com/docs: "LLM gateway" and "Settings"
		id: "claude-code",
		name: "Claude Code",
		protocol: "anthropic",
		ways: (a, url) => [
			{ kind: "file", file: "~/.claude/settings.json", code: json({ env: { ANTHROPIC_BASE_URL: url, ANTHROPIC_AUTH_TOKEN: a.key, ANTHROPIC_MODEL: a.model } }) },
			{ kind: "env", values: [["ANTHROPIC_BASE_URL", url], ["ANTHROPIC_AUTH_TOKEN", a.key], ["ANTHROPIC_MODEL", a.model]] },
		],
	},
	{
		// developers.openai.com/codex: "Configuration reference"; since February 2026 only the Responses protocol
		id: "codex",
		name: "Codex CLI",
		protocol: "responses",
		ways: (a, url) => [
			{
				kind: "file",
				file: "~/.codex/config.toml",
				code: `model = "${a.model}"\nmodel_provider = "patchbay"\n\n[model_providers.patchbay]\nname = "Patchbay"\nbase_url = "${url}"\nenv_key = "PB_KEY"\nwire_api = "responses"`,
			},
			{ kind: "env", values: [["PB_KEY", a.key]] },
		],
		notes: ["codex"],
	},
	{
		// docs.cline.bot: "OpenAI Compatible"
		id: "cline",
		name: "Cline",
		protocol: "openai",
		ways: (a, url) => [{ kind: "form", place: "Settings → API Provider: OpenAI Compatible", fields: [["Base URL", url], ["OpenAI Compatible API Key", a.key], ["Model ID", a.model]] }],
	},
	{
		// docs.roocode.com: "OpenAI Compatible"
		id: "roo-code",
		name: "Roo Code",
		protocol: "openai",
		ways: (a, url) => [{ kind: "form", place: "Settings → Providers → API Provider: OpenAI Compatible", fields: [["Base URL", url], ["API Key", a.key], ["Model", a.model]] }],
	},
	{
		// google-gemini/gemini-cli: GOOGLE_GEMINI_BASE_URL, read by the SDK that it is built on
		id: "gemini-cli",
		name: "Gemini CLI",
		protocol: "gemini",
		ways: (a, url) => [{ kind: "env", values: [["GOOGLE_GEMINI_BASE_URL", url], ["GEMINI_API_KEY", a.key], ["GEMINI_MODEL", a.model]] }],
	},
	{
		// QwenLM/qwen-code: "Authentication", OpenAI-compatible
		id: "qwen-code",
		name: "Qwen Code",
		protocol: "openai",
		ways: (a, url) => [{ kind: "env", values: [["OPENAI_BASE_URL", url], ["OPENAI_API_KEY", a.key], ["OPENAI_MODEL", a.model]] }],
	},
	{
		// opencode.ai/docs/providers: custom provider
		id: "opencode",
		name: "OpenCode",
		protocol: "openai",
		ways: (a, url) => [
			{
				kind: "file",
				file: "~/.config/opencode/opencode.json",
				code: json({
					$schema: "https://opencode.ai/config.json",
					provider: { patchbay: { npm: "@ai-sdk/openai-compatible", name: "Patchbay", options: { baseURL: url, apiKey: a.key }, models: { [a.model]: { name: a.model } } } },
				}),
			},
		],
		notes: ["models"],
	},
	{
		// docs.cherry-ai.com: custom provider
		id: "cherry-studio",
		name: "Cherry Studio",
		protocol: "openai",
		root: true,
		ways: (a, url) => [{ kind: "form", place: "Settings → Model Provider → Add → Provider Type: OpenAI", fields: [["API Key", a.key], ["API Host", url], ["Model ID", a.model]] }],
	},
	{
		// ChatGPTNextWeb/NextChat: Settings, custom endpoint
		id: "nextchat",
		name: "NextChat",
		protocol: "openai",
		root: true,
		ways: (a, url) => [
			{ kind: "form", place: "Settings → Custom Endpoint → Model Provider: OpenAI", fields: [["OpenAI Endpoint", url], ["OpenAI API Key", a.key], ["Custom Models", `+${a.model}`]] },
		],
		notes: ["browser"],
	},
	{
		// docs.openwebui.com: "OpenAI-compatible"
		id: "open-webui",
		name: "Open WebUI",
		protocol: "openai",
		ways: (a, url) => [{ kind: "form", place: "Admin Settings → Connections → OpenAI API → +", fields: [["URL", url], ["API Key", a.key]] }],
		notes: ["docker"],
	},
	{
		// docs.continue.dev: "How to Configure OpenAI Models", OpenAI-compatible
		id: "continue",
		name: "Continue",
		protocol: "openai",
		ways: (a, url) => [
			{
				kind: "file",
				file: "~/.continue/config.yaml",
				code: `name: Patchbay\nversion: 0.0.1\nschema: v1\nmodels:\n  - name: ${a.model}\n    provider: openai\n    model: ${a.model}\n    apiBase: ${url}\n    apiKey: ${a.key}\n    roles: [chat, edit, apply]`,
			},
		],
		notes: ["models"],
	},
	{
		// zed.dev/docs/ai: OpenAI-compatible providers; the key is entered in the window, not in the file
		id: "zed",
		name: "Zed",
		protocol: "openai",
		ways: (a, url) => [{ kind: "form", place: "Agent Settings → LLM Providers → Add Provider → OpenAI", fields: [["API URL", url], ["API Key", a.key], ["Model Name", a.model]] }],
		notes: ["zed"],
	},
	{
		// cursor.com/docs: "API keys"
		id: "cursor",
		name: "Cursor",
		protocol: "openai",
		ways: (a, url) => [{ kind: "form", place: "Cursor Settings → Models → API Keys", fields: [["OpenAI API Key", a.key], ["Override OpenAI Base URL", url]] }],
		notes: ["cursor"],
	},
	{
		// librechat.ai/docs: custom endpoint
		id: "librechat",
		name: "LibreChat",
		protocol: "openai",
		ways: (a, url) => [
			{
				kind: "file",
				file: "librechat.yaml",
				code: `endpoints:\n  custom:\n    - name: "Patchbay"\n      apiKey: "${a.key}"\n      baseURL: "${url}"\n      models:\n        default: ["${a.model}"]\n        fetch: true\n      titleConvo: true\n      titleModel: "current_model"`,
			},
		],
		notes: ["docker"],
	},
	{
		id: "sdk-openai",
		name: "OpenAI SDK",
		protocol: "openai",
		ways: (a, url) => [
			{
				kind: "code",
				title: "Python",
				code: `from openai import OpenAI\n\nclient = OpenAI(base_url="${url}", api_key="${a.key}")\nanswer = client.chat.completions.create(\n    model="${a.model}",\n    messages=[{"role": "user", "content": "Hello"}],\n)\nprint(answer.choices[0].message.content)`,
			},
			{
				kind: "code",
				title: "JavaScript",
				code: `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${url}", apiKey: "${a.key}" });\nconst answer = await client.responses.create({ model: "${a.model}", input: "Hello" });\nconsole.log(answer.output_text);`,
			},
		],
	},
	{
		id: "sdk-anthropic",
		name: "Anthropic SDK",
		protocol: "anthropic",
		ways: (a, url) => [
			{
				kind: "code",
				title: "Python",
				code: `from anthropic import Anthropic\n\nclient = Anthropic(base_url="${url}", api_key="${a.key}")\nanswer = client.messages.create(\n    model="${a.model}",\n    max_tokens=1024,\n    messages=[{"role": "user", "content": "Hello"}],\n)\nprint(answer.content[0].text)`,
			},
		],
	},
	{
		id: "sdk-gemini",
		name: "Google Gen AI SDK",
		protocol: "gemini",
		ways: (a, url) => [
			{
				kind: "code",
				title: "Python",
				code: `from google import genai\nfrom google.genai import types\n\nclient = genai.Client(api_key="${a.key}", http_options=types.HttpOptions(base_url="${url}"))\nanswer = client.models.generate_content(model="${a.model}", contents="Hello")\nprint(answer.text)`,
			},
		],
	},
	{
		// ollama/ollama-python: Client takes a host with a path, and headers
		id: "sdk-ollama",
		name: "Ollama SDK",
		protocol: "ollama",
		ways: (a, url) => [
			{
				kind: "code",
				title: "Python",
				code: `from ollama import Client\n\nclient = Client(host="${url}", headers={"Authorization": "Bearer ${a.key}"})\nanswer = client.chat(model="${a.model}", messages=[{"role": "user", "content": "Hello"}])\nprint(answer.message.content)`,
			},
		],
	},
	{
		id: "curl",
		name: "curl",
		protocol: "openai",
		ways: (a) => (["openai", "responses", "anthropic", "gemini", "ollama"] as const).map((protocol) => ({ kind: "code", title: titles[protocol], code: curl({ ...a, protocol }) })),
	},
];

const titles: Record<Protocol, string> = { openai: "OpenAI Chat", responses: "OpenAI Responses", anthropic: "Anthropic Messages", gemini: "Gemini", ollama: "Ollama" };

/** Variables as a terminal takes them. */
export function shell(values: [string, string][], windows: boolean): string {
	return values.map(([name, value]) => (windows ? `$env:${name} = "${value}"` : `export ${name}="${value}"`)).join("\n");
}
