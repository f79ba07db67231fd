package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"patchbay/backend"
	"patchbay/backend/config"
)

// TestHealth asks a real instance, and none.
func TestHealth(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATCHBAY_HOME", dir)
	if r := newBench().run(t, "health"); r.code != exitFailed || r.err == "" {
		t.Errorf("with none running: %+v", r)
	}
	listens := make(chan struct{})
	b, err := backend.Open(t.Context(), backend.Options{
		Paths: config.Paths{Config: filepath.Join(dir, "config.yaml"), Data: dir, State: filepath.Join(dir, "logs")},
		Flags: map[string]string{"server.listen": "127.0.0.1:0"}, Env: []string{"PATCHBAY_KEYRING=file"}, Version: "test",
		Ready: func(string) { close(listens) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	defer func() {
		stop()
		<-done
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-listens:
	case err := <-done:
		done <- err
		t.Fatal(err)
	}
	if r := newBench().run(t, "health"); r.code != exitOK || !strings.HasPrefix(r.out, "degraded\n") || !strings.Contains(r.out, "no account") {
		t.Errorf("while it runs: %+v", r)
	}
}
