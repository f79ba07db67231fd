import { post } from "../../api/client";
import type { Finding, VaultView } from "../../api/types.gen";
import type { Key } from "../../i18n/index.svelte";
import { href } from "../../router.svelte";
import { changeSettings, vault } from "../../state/settings.svelte";

/** What mends a finding: the page does it, or leads to the place. */
export interface Mend {
	label: Key;
	href?: string;
	run?: () => Promise<unknown>;
}

/** How a finding is mended. A good one needs nothing, but for those that are an offer. */
export function mendsOf(f: Finding): Mend[] {
	const settings = (section: string): Mend => ({ label: "help.toSettings", href: href(`/settings/${section}`) });
	const set = (label: Key, values: Record<string, unknown>): Mend => ({ label, run: () => changeSettings(values) });
	if (f.level === "ok") return [];
	if (f.id.startsWith("credential_file.")) return [{ label: "help.toFiles", href: href("/files") }];
	switch (f.id) {
		case "config":
		case "default_provider":
			return [settings("start")];
		case "port":
			return [settings("address")];
		case "lan":
			return [set("help.lanOff", { "server.lan": false }), settings("address")];
		case "ollama_listener":
			return [set("help.ollamaOff", { "server.ollama_listener.enabled": false }), settings("address")];
		case "database":
			return [settings("backup")];
		case "vault":
			if (f.code.startsWith("vault.locked")) return [{ label: "banner.unlock", run: unlock }];
			return [settings("backup")];
		case "loop":
			return [settings("providers")];
		case "proxy_env":
			return [settings("network")];
		case "prompt.file":
			return [settings("prompts")];
		case "client_keys":
			return [{ label: "act.newKey", href: href("/apps") }];
		case "accounts":
			return f.code === "accounts.none"
				? [{ label: "act.addAccount", href: href("/accounts", { add: "1" }) }]
				: [{ label: "help.toAccounts", href: href("/accounts") }];
		case "account.needs_person":
			if (f.params?.["state"] === "needs_login") return [{ label: "act.signIn", href: href("/accounts", { signin: f.params["id"] }) }];
			return [{ label: "help.toAccount", href: href("/accounts", { account: f.params?.["id"] }) }];
		default:
			return [];
	}
}

async function unlock(): Promise<void> {
	vault.set(await post<VaultView>("/api/vault/unlock"));
}
