package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"patchbay/backend/store"
)

// poolSize is how many accounts a large pool has.
const poolSize = 2000

// pool measures Patchbay with a large pool of which a quarter rests: how soon it listens, what it takes while nothing happens
// and after a thousand requests, and how long a request takes from end to end.
func (b *bench) pool() error {
	big := *b
	big.home = filepath.Join(b.home, "pool")
	if err := os.MkdirAll(big.home, 0o700); err != nil {
		return err
	}
	f := &formats[0]
	config := fmt.Sprintf("default_provider: team\nproviders:\n  team:\n    kind: %s\n    base_url: %s%s\n    models: [b-1-0]\n", f.kind, b.upstream.url, f.base)
	if err := os.WriteFile(filepath.Join(big.home, "config.yaml"), []byte(config), 0o600); err != nil {
		return err
	}
	out, err := big.command("keys", "add", "bench", "--json")
	if err != nil {
		return err
	}
	var made struct{ Key string }
	if err := json.Unmarshal(out, &made); err != nil || made.Key == "" {
		return fmt.Errorf("keys add printed %q: %w", out, err)
	}
	big.key = made.Key
	if err := fillPool(filepath.Join(big.home, "patchbay.db")); err != nil {
		return err
	}
	var starts []time.Duration
	for range max(b.rounds, 1) {
		begun := time.Now()
		p, err := big.serve()
		if err != nil {
			return err
		}
		starts = append(starts, time.Since(begun))
		big.patched = p
		if len(starts) < b.rounds {
			p.stop()
		}
	}
	defer big.patched.stop()
	slices.Sort(starts)
	time.Sleep(5 * time.Second) // two seconds after its start it gives back what starting took
	idle := big.patched.rss()
	var times []time.Duration
	a := ask{big.patched, "/v1/chat/completions", f.body("b-1-0", []string{"hi"})}
	for range 1000 {
		begun := time.Now()
		if err := big.post(context.Background(), a, func() {}); err != nil {
			return err
		}
		times = append(times, time.Since(begun))
	}
	slices.Sort(times)
	fmt.Printf("pool of %d accounts: listens after %v, idle %s, after 1000 requests %s, request median %v, 99 of 100 within %v\n", poolSize,
		starts[len(starts)/2].Round(time.Millisecond), mb(idle), mb(big.patched.rss()), times[500].Round(time.Microsecond), times[990].Round(time.Microsecond))
	return nil
}

// fillPool writes the accounts, and pauses of every fourth, into the database of a Patchbay that does not run.
func fillPool(path string) error {
	ctx := context.Background()
	db, warning, err := store.Open(ctx, path)
	if err != nil || warning != "" {
		return fmt.Errorf("opening the database: %s %w", warning, err)
	}
	defer db.Close()
	return db.Batch(ctx, func(ctx context.Context) error {
		now := time.Now()
		for i := range poolSize {
			id := fmt.Sprint("account-", i)
			a := store.Account{
				ID: id, Provider: "team", Name: id, Priority: 100, Enabled: true, Owner: "ours", State: "ready", Settings: map[string]string{},
				Notes: map[string]string{}, Created: now, Reserve: -1,
			}
			if err := db.PutAccount(ctx, a); err != nil {
				return err
			}
			if i%4 > 0 {
				continue
			}
			pause := store.Cooldown{Account: id, Model: "b-1-0", Until: now.Add(time.Hour), Kind: "rate_limited", Reason: "too many requests", Since: now}
			if err := db.SaveHealth(ctx, store.Health{ID: id, State: "ready", Cooling: []store.Cooldown{pause}}); err != nil {
				return err
			}
		}
		return nil
	})
}
