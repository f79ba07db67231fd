import { get } from "../api/client";
import type { CredentialFile, List } from "../api/types";
import { Resource } from "./resource.svelte";

/** Logins that other programs keep in files on this computer. */
export const files = new Resource<List<CredentialFile>>({
	load: (signal) => get<List<CredentialFile>>("/api/credential-files", { signal }),
	topics: ["files", "config"],
	pace: 1000,
});

const storage = "patchbay.ignoredFiles";

/** The found files that a person does not want to be told of again. */
class Ignored {
	paths = $state.raw<string[]>(stored());

	add(path: string): void {
		this.#keep([...this.paths, path].slice(-200));
	}

	remove(path: string): void {
		this.#keep(this.paths.filter((p) => p !== path));
	}

	#keep(paths: string[]): void {
		this.paths = paths;
		try {
			localStorage.setItem(storage, JSON.stringify(paths));
		} catch {
			// storage is switched off: it holds until the page is closed
		}
	}
}

export const ignored = new Ignored();

function stored(): string[] {
	try {
		const value: unknown = JSON.parse(localStorage.getItem(storage) ?? "[]");
		return Array.isArray(value) ? value.filter((p) => typeof p === "string") : [];
	} catch {
		return [];
	}
}

/** The found logins that wait for a word from a person. */
export function foundFiles(): CredentialFile[] {
	return (files.value?.items ?? []).filter((f) => f.state === "found" && f.status !== "discontinued" && !ignored.paths.includes(f.path));
}
