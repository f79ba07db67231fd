import { get, query, send } from "../api/client";
import type { List } from "../api/types";
import type { AboutView, Finding, LicenceText, SupportFile } from "../api/types.gen";
import { saveFile } from "../ui/download";
import { Resource } from "./resource.svelte";

/** What the doctor found. */
export const findings = new Resource<List<Finding>>({
	load: (signal) => get<List<Finding>>("/api/doctor", { signal }),
	topics: ["config", "account", "notice", "files"],
	pace: 2000,
});

export const about = new Resource<AboutView>({ load: (signal) => get<AboutView>("/api/about", { signal }), topics: [] });

/** A library that is part of Patchbay. */
export interface Library {
	path: string;
	version: string;
	licence?: string;
	/** its licence whole, where that is here already */
	text?: string;
}

/** The libraries in this page: its build has written them down beside it. */
export async function pageLibraries(): Promise<Library[]> {
	return (await (await fetch(new URL("licences.json", document.baseURI))).json()) as Library[];
}

/** The licence of a library of the program, whole. */
export async function licenceText(path: string): Promise<string> {
	return (await get<LicenceText>("/api/about/licence" + query({ path }))).text;
}

/** The files of a report, as they would be saved. */
export async function reportFiles(): Promise<(Omit<SupportFile, "data"> & { text: string })[]> {
	const { items } = await get<List<SupportFile>>("/api/support/files?data=true");
	const decoder = new TextDecoder();
	return items.map(({ data, ...file }) => ({ ...file, text: decoder.decode(Uint8Array.from(atob(data ?? ""), (c) => c.charCodeAt(0))) }));
}

/** Saves an answer of the API as a file, under the name that the server gives it. */
export async function download(path: string, name: string): Promise<void> {
	const response = await send("GET", path);
	const given = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
	saveFile(given ?? name, await response.blob());
}
