import { expect, test } from "@playwright/test";
import { Backoff } from "../../src/api/backoff";

test("waits double up to the longest, and begin anew after a connection", () => {
	const b = new Backoff(400, 3000, () => 0);
	expect([b.next(), b.next(), b.next(), b.next(), b.next()]).toEqual([400, 800, 1600, 3000, 3000]);
	b.reset();
	expect(b.next()).toBe(400);
});

test("chance takes a third at most", () => {
	const b = new Backoff(900, 9000, () => 1);
	expect(b.next()).toBe(600);
});
