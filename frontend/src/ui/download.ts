/** Has the browser save something as a file. */
export function saveFile(name: string, content: string | Blob, type = "text/plain"): void {
	const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
	const link = document.createElement("a");
	link.href = url;
	link.download = name;
	link.click();
	setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser may still be asking where to
}
