package main

import (
	"context"
	"errors"
	"io"

	"patchbay/backend"
	"patchbay/backend/api"
	"patchbay/backend/config"
	"patchbay/backend/secret"
	"patchbay/frontend"
)

// program is the whole of Patchbay, opened but not yet listening.
type program interface {
	api.Service
	api.PageService
	// Run serves until ctx ends. It calls startOptions.ready once it listens.
	Run(ctx context.Context) error
	Close() error
	// FirstKey returns the client key that Run made because there was none.
	FirstKey() (secret.Value, bool)
}

// startOptions is what the commands decide about a program.
type startOptions struct {
	paths config.Paths
	flags map[string]string // settings by key
	log   io.Writer         // for people; nil = none
	ready func(base string) // may be nil
}

// startProgram opens the program. Only one may be open at a time: the error is backend.ErrRunning.
func startProgram(ctx context.Context, o startOptions) (program, error) {
	return backend.Open(ctx, backend.Options{Paths: o.paths, Flags: o.flags, Version: versionText(), Stderr: o.log, Ready: o.ready, Ring: secret.SystemRing(), Page: frontend.Files()})
}

// paths are where the files are, with --config taken in.
func (a *app) paths() (config.Paths, error) {
	p, err := config.FindPaths()
	if err == nil && a.configPath != "" {
		p.Config, err = absolute(a.configPath)
	}
	return p, err
}

// openService finds the running instance, or opens the store itself when none runs.
func openService(ctx context.Context, a *app) (api.Service, func() error, error) {
	paths, err := a.paths()
	if err != nil {
		return nil, nil, err
	}
	client, err := backend.Running(ctx, paths)
	if err == nil {
		return client, func() error { return nil }, nil
	}
	if !errors.Is(err, backend.ErrNotRunning) {
		return nil, nil, err
	}
	p, err := a.start(ctx, startOptions{paths: paths})
	if err != nil {
		return nil, nil, err
	}
	return p, p.Close, nil
}
