package backend

import (
	"context"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/preset"
	"patchbay/backend/transfer"
)

// Import implements api.Service.
func (b *Backend) Import(ctx context.Context, q api.ImportRequest) (api.ImportReport, error) {
	b.importing.Lock() // two at once would not see each other's accounts
	defer b.importing.Unlock()
	files := make([]transfer.ImportFile, len(q.Files))
	for i, f := range q.Files {
		files[i] = transfer.ImportFile{Name: f.Name, Data: f.Data, Modified: f.Modified, Problem: f.Problem}
	}
	keys := make([]transfer.ImportKey, len(q.Keys))
	for i, k := range q.Keys {
		keys[i] = transfer.ImportKey{Provider: k.Provider, From: k.From, Key: k.Key}
	}
	r, err := transfer.Import(ctx, b.importHost(), files, keys, transfer.ImportOptions{DryRun: q.DryRun, Moved: q.Moved, Accept: q.AcceptRisk})
	if err != nil {
		return api.ImportReport{}, explain(err)
	}
	out := api.ImportReport{DryRun: q.DryRun, Items: make([]api.ImportItem, len(r.Items)), NewKey: r.NewKey, Unmoved: r.Unmoved, Unread: r.Unread}
	for i, it := range r.Items {
		out.Items[i] = api.ImportItem{Outcome: string(it.Outcome), Kind: it.Kind, Name: it.Name, From: it.From, Note: it.Note}
	}
	if !q.DryRun {
		b.log.For("transfer").Info("Files of other programs were imported", "files", len(files), "items", len(r.Items))
	}
	return out, nil
}

func (b *Backend) importHost() transfer.Host {
	return transfer.Host{
		Owners:    b.owners(),
		Offers:    b.importOffers,
		Presets:   func() *preset.Set { return b.presets.Load() },
		CleanBase: b.cleanBase,
		Admit: func(id string, accept, try bool) error {
			k, ok := b.offered(id)
			switch {
			case !ok && try: // it is to be made
				return nil
			case !ok:
				return apierror.Invalid("provider", "there is no provider %q", id)
			case try && accept && k.info.Off: // it would be turned on
				return nil
			}
			return b.admit(k, accept)
		},
		AddProvider: func(ctx context.Context, id, preset, kind, base, name string) error {
			p := api.NewProvider{ID: id, Preset: preset, Kind: kind, BaseURL: base, Name: name}
			if preset != "" {
				p.Kind, p.BaseURL, p.Name = "", "", ""
			}
			_, err := b.AddProvider(ctx, p)
			return err
		},
	}
}

func (b *Backend) importOffers() []transfer.Offer {
	list := *b.offers.Load()
	out := make([]transfer.Offer, len(list))
	for i, k := range list {
		info := k.info
		info.BaseURL = k.baseURL()
		out[i] = transfer.Offer{Info: info, Driver: k.driver}
	}
	return out
}
