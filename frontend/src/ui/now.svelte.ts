import { createSubscriber } from "svelte/reactivity";

function ticker(ms: number): () => number {
	const subscribe = createSubscriber((update) => {
		const timer = setInterval(() => document.visibilityState === "visible" && update(), ms);
		const seen = () => document.visibilityState === "visible" && update();
		document.addEventListener("visibilitychange", seen);
		return () => {
			clearInterval(timer);
			document.removeEventListener("visibilitychange", seen);
		};
	});
	return () => {
		subscribe();
		return Date.now();
	};
}

/** The time, new each second for what shows it, and only while the page is seen. */
export const everySecond = ticker(1000);

/** The time, new twice a minute. */
export const everyHalfMinute = ticker(30_000);
