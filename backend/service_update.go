package backend

import (
	"context"
	"errors"
	"net/http"
	"runtime"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/events"
	"patchbay/backend/update"
)

// openUpdates makes what looks for newer versions, and takes up what is known from before.
func (b *Backend) openUpdates(ctx context.Context) error {
	b.updates = update.New(update.Options{
		Version: b.o.Version, Key: b.o.UpdateKey, URL: b.o.UpdateURL, Store: b.db,
		Client: func() *http.Client { return b.client("", "") },
		Mirror: func() string { return b.settings.Current().Updates.URL },
		Kinds:  update.KindsHere, OS: runtime.GOOS, Arch: runtime.GOARCH,
	})
	if err := b.updates.Remember(ctx); err != nil {
		b.log.For("update").Warn("What was known about updates cannot be read", "err", err)
	}
	return ctx.Err()
}

// wantsUpdates reports whether the person wants newer versions to be looked for.
func (b *Backend) wantsUpdates() bool { return b.settings.Current().Updates.Check }

// updateFound tells that there is a newer version.
func (b *Backend) updateFound(r update.Release) {
	b.log.For("update").Info("A newer version is available", "release", r.Version)
	b.bus.Publish(events.Notice, "update", "Patchbay "+r.Version+" is available")
}

// Update implements api.Service.
func (b *Backend) Update(context.Context) (api.UpdateView, error) {
	return b.updateView(b.updates.State()), nil
}

// CheckUpdate implements api.Service.
func (b *Backend) CheckUpdate(ctx context.Context) (api.UpdateView, error) {
	known := b.updates.State().Found
	s, err := b.updates.Check(ctx)
	switch {
	case errors.Is(err, update.ErrImpossible):
		return api.UpdateView{}, &apierror.Error{Kind: apierror.InvalidRequest, Msg: err.Error(), Err: err}
	case ctx.Err() != nil:
		return api.UpdateView{}, ctx.Err()
	}
	if r := s.Found; r != nil && (known == nil || known.Version != r.Version) {
		b.updateFound(*r)
	}
	return b.updateView(s), nil // what went wrong is in it
}

func (b *Backend) updateView(s update.State) api.UpdateView {
	v := api.UpdateView{Version: b.o.Version, Enabled: b.wantsUpdates(), Possible: s.Possible, Latest: s.Latest, Checked: s.Checked, Problem: s.Problem}
	if r := s.Found; r != nil {
		v.Available = &api.ReleaseView{Version: r.Version, Published: r.Published, Notes: r.Notes, Security: r.Security}
		if f := r.File; f != nil {
			v.Available.Package = &api.PackageView{Kind: f.Kind, URL: f.URL, Size: f.Size, SHA256: f.SHA256}
		}
	}
	return v
}
