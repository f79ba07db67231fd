package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

const slowStreams = 1000

// slowStreams measures the memory of a thousand streams that are open at once and get a chunk a second, each pair in a fresh
// process: what an earlier burst has left behind is no matter of the pair.
func (b *bench) slowStreams() error {
	plain := map[string]int64{} // by upstream
	list := b.pairs
	if b.quick && len(list) > 2 {
		list = []pair{{&formats[0], &formats[0]}, {&formats[0], &formats[1]}}
	}
	for _, p := range list {
		model := "b-60-1000000"
		if plain[p.upstream.name] == 0 {
			n, err := b.held(func() (*process, error) { return b.self("plain", "-target", b.upstream.url) },
				ask{path: p.upstream.path(model), body: p.upstream.body(model, short)})
			if err != nil {
				return err
			}
			plain[p.upstream.name] = n
		}
		ours, err := b.held(b.serve, ask{path: p.through(model), body: p.client.body(model, short)})
		if err != nil {
			return err
		}
		fmt.Printf("1,000 streams    %-24s plain %s   patchbay %s\n", p, mb(plain[p.upstream.name]), mb(ours))
	}
	return nil
}

// held starts a proxy, opens the streams, and returns the resident memory once all have had content and some seconds went
// by.
func (b *bench) held(begin func() (*process, error), a ask) (int64, error) {
	var err error
	if a.proxy, err = begin(); err != nil {
		return 0, err
	}
	defer a.proxy.stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var open atomic.Int64
	failed := make(chan error, slowStreams)
	for range slowStreams {
		go func() { failed <- b.post(ctx, a, func() { open.Add(1) }) }() // until cancel
	}
	limit := time.After(40 * time.Second)
	for open.Load() < slowStreams {
		select {
		case err := <-failed:
			return 0, fmt.Errorf("a slow stream ended early: %w", err)
		case <-limit:
			return 0, fmt.Errorf("only %d streams have begun", open.Load())
		case <-time.After(100 * time.Millisecond):
		}
	}
	time.Sleep(5 * time.Second)
	return a.proxy.rss(), nil
}
