package ollamaapi

import (
	"context"
	"sync"

	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire"
	"patchbay/backend/wire/ollama"
)

// described is what a model's description said, good as long as the model was not changed since.
type described struct {
	created int64
	model   canon.Model
}

const (
	showsAtOnce = 4
	maxShows    = 256 // models whose description is asked for
)

// Models lists what the service has, each with what it can do: the person's own list, else the service's.
func (u *upstream) Models(ctx context.Context) ([]canon.Model, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, transport.ListLimit, transport.LimitError("model list", transport.ListLimit))
	defer cancel()
	var list []canon.Model
	if names := provider.List(u.env.Settings[provider.SettingModels]); len(names) > 0 {
		for _, n := range names {
			list = append(list, canon.Model{ID: n})
		}
	} else {
		var err error
		if list, err = u.tags(ctx); err != nil {
			return nil, err
		}
	}
	u.describe(ctx, list)
	return list, nil
}

func (u *upstream) tags(ctx context.Context) ([]canon.Model, error) {
	call, err := u.call(ctx, "/api/tags")
	if err != nil {
		return nil, call.Fill(err)
	}
	call.Header.Del("Content-Type")
	body, err := transport.Fetch(ctx, u.env.HTTP, call, transport.MaxList, ollama.ParseError)
	if err != nil {
		return nil, u.explain(err)
	}
	list, err := ollama.ParseTags(body)
	if err != nil {
		return nil, call.Fill(err)
	}
	return list, nil
}

// describe fills in what /api/show tells of each model. What it does not tell stays unknown: a list without facts is
// better than none.
func (u *upstream) describe(ctx context.Context, list []canon.Model) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, showsAtOnce)
	for i := range list[:min(len(list), maxShows)] {
		m := &list[i]
		if known, ok := u.described(*m); ok {
			*m = known
			continue
		}
		wg.Go(func() { // ends with the call, which ListLimit bounds
			slots <- struct{}{}
			defer func() { <-slots }()
			u.show(ctx, m)
		})
	}
	wg.Wait()
}

func (u *upstream) described(m canon.Model) (canon.Model, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	d, ok := u.known[m.ID]
	return d.model, ok && d.created == m.Created
}

func (u *upstream) show(ctx context.Context, m *canon.Model) {
	call, err := u.call(ctx, "/api/show")
	if err != nil {
		return
	}
	call.Body = append(wire.AppendString([]byte(`{"model":`), m.ID), '}')
	body, err := transport.Fetch(ctx, u.env.HTTP, call, transport.MaxList, ollama.ParseError)
	if err != nil {
		u.env.Log.Debug("A model is not described", "provider", u.env.Provider, "account", u.env.AccountID, "model", m.ID, "err", err)
		return
	}
	created, full := m.Created, *m
	if ollama.ParseShow(body, &full) != nil {
		return
	}
	*m = full
	u.mu.Lock()
	defer u.mu.Unlock()
	u.known[m.ID] = described{created, full}
}
