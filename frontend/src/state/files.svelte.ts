import { base64 } from "../api/base64";
import { get, post } from "../api/client";
import type { Account, CredentialFile, List } from "../api/types";
import type { FileUse, ImportFile, ImportReport, ImportRequest } from "../api/types.gen";
import { accounts } from "./accounts.svelte";
import { providers } from "./providers.svelte";
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

async function use(id: string, verb: "borrow" | "adopt" | "release", how: FileUse = {}): Promise<Account> {
	const account = await post<Account>(`/api/credential-files/${encodeURIComponent(id)}/${verb}`, how);
	await Promise.all([files.reload(), accounts.reload(), providers.reload()]);
	return account;
}

/** Makes an account that follows a file. */
export const borrow = (id: string, how?: FileUse) => use(id, "borrow", how);

/** Makes the login of a file Patchbay's own. */
export const adopt = (id: string, how?: FileUse) => use(id, "adopt", { accept: true, ...how });

/** Forgets the account that follows a file; the file stays as it is. */
export const release = (id: string) => use(id, "release");

/** Takes files of other programs in, or with dry_run only says what would become of them. */
export async function takeImport(request: ImportRequest): Promise<ImportReport> {
	const report = await post<ImportReport>("/api/import", request);
	if (!request.dry_run) await Promise.all([files.reload(), accounts.reload(), providers.reload()]);
	return report;
}

/** Files that were dropped on a page and wait for the import. */
class Dropped {
	files = $state.raw<readonly File[]>([]);

	/** Hands them over once. */
	take(): readonly File[] {
		const files = this.files;
		this.files = [];
		return files;
	}
}

export const dropped = new Dropped();

const largest = 24 << 20; // what the server takes at most in one import

/** Reads dropped or chosen files for an import. One that is too large is named, not sent. */
export async function readFiles(list: Iterable<File>): Promise<ImportFile[]> {
	const out: ImportFile[] = [];
	let total = 0;
	for (const file of list) {
		const name = file.webkitRelativePath || file.name;
		total += file.size;
		if (total > largest) {
			out.push({ name, problem: "too large" });
			continue;
		}
		out.push({ name, data: base64(new Uint8Array(await file.arrayBuffer())), modified: new Date(file.lastModified).toISOString() });
	}
	return out;
}

/** Text that was pasted, as a file. */
export function textFile(text: string): ImportFile {
	return { name: "pasted.json", data: base64(new TextEncoder().encode(text)) };
}
