// Command bench measures Patchbay from the outside against a plain httputil.ReverseProxy in the same run: CPU per streamed
// chunk, time to first content, start, idle memory, and long conversations. It starts its own upstream, its own plain
// proxy and the given Patchbay binary, each in a process of its own, and reads their CPU time and memory from /proc, so it
// runs on Linux only. Compare ratios, not absolute figures: machines differ and are noisy.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	role := flag.String("role", "", "internal: upstream or plain")
	target := flag.String("target", "", "internal: what the plain proxy forwards to")
	binary := flag.String("patchbay", "bin/patchbay", "the Patchbay binary")
	rounds := flag.Int("rounds", 3, "rounds per measurement; the median counts")
	only := flag.String("only", "", "run the measurements whose names hold this: start, idle, first, chunk, long, streams")
	quick := flag.Bool("quick", false, "fewer streams and chunks")
	flag.Parse()
	var err error
	switch *role {
	case "upstream":
		err = serveUpstream()
	case "plain":
		err = servePlain(*target)
	default:
		err = measure(*binary, *only, *rounds, *quick)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
