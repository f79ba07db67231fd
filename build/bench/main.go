// Command bench measures Patchbay from the outside against a plain httputil.ReverseProxy in the same run, for every client
// format in front of every upstream format: CPU per streamed chunk, time to first content, memory of a thousand slow streams,
// and long conversations; and once for all, start and idle memory. It starts its own upstream, its own plain proxy and the
// given Patchbay binary, each in a process of its own, and reads their CPU time and memory from /proc, so it runs on Linux
// only. Compare ratios, not absolute figures: machines differ and are noisy.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	role := flag.String("role", "", "internal: upstream or plain")
	target := flag.String("target", "", "internal: what the plain proxy forwards to")
	var o options
	flag.StringVar(&o.binary, "patchbay", "bin/patchbay", "the Patchbay binary")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds per measurement; the median counts")
	flag.StringVar(&o.only, "only", "", "run the measurements whose names hold this: start, pool, idle, first, chunk, long, memory")
	flag.StringVar(&o.pair, "pair", "", `measure the pairs whose names hold this, as in "openai -> gemini"`)
	flag.BoolVar(&o.quick, "quick", false, "about two minutes: one round, fewer chunks, no long conversations, the memory of two pairs")
	flag.Parse()
	var err error
	switch *role {
	case "upstream":
		err = serveUpstream()
	case "plain":
		err = servePlain(*target)
	default:
		err = measure(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
