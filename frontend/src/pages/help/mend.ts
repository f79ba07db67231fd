import type { Key } from "../../i18n/index.svelte";
import { href } from "../../router.svelte";

interface Mend {
	label: Key;
	href: string;
}

/** Where a finding is mended, by its id. */
export function mendOf(id: string): Mend | undefined {
	const settings = (section: string): Mend => ({ label: "help.toSettings", href: href(`/settings/${section}`) });
	if (id.startsWith("credential_file.")) return { label: "help.toFiles", href: href("/files") };
	switch (id) {
		case "config":
			return settings("start");
		case "port":
		case "ollama_listener":
		case "lan":
			return settings("address");
		case "database":
		case "vault":
			return settings("backup");
		case "default_provider":
			return settings("start");
		case "loop":
			return settings("providers");
		case "proxy_env":
			return settings("network");
		case "client_keys":
			return { label: "act.newKey", href: href("/apps") };
		case "accounts":
			return { label: "act.addAccount", href: href("/accounts", { add: "1" }) };
		case "account.needs_person":
			return { label: "help.toAccount", href: href("/accounts", { show: "needs" }) };
		default:
			return undefined;
	}
}
