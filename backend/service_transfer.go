package backend

import (
	"context"

	"patchbay/backend/api"
	"patchbay/backend/secret"
	"patchbay/backend/transfer"
)

func (b *Backend) owners() transfer.Owners {
	return transfer.Owners{Accounts: b.accounts, Keys: b.keys, Settings: b.settings, Version: b.o.Version}
}

// Export implements api.Service.
func (b *Backend) Export(ctx context.Context, passphrase secret.Value) (api.Exported, error) {
	data, r, err := transfer.Export(ctx, b.owners(), passphrase)
	if err != nil {
		return api.Exported{}, explain(err)
	}
	b.log.For("transfer").Info("An encrypted export was made", "items", len(r.Taken), "left", len(r.Skipped))
	return api.Exported{Data: data, Report: carryReport(r)}, nil
}

// Restore implements api.Service.
func (b *Backend) Restore(ctx context.Context, q api.RestoreRequest) (api.CarryReport, error) {
	r, err := transfer.Restore(ctx, b.owners(), q.Data, q.Passphrase, q.Replace)
	if err != nil {
		return api.CarryReport{}, explain(err)
	}
	b.log.For("transfer").Info("An export was restored", "items", len(r.Taken), "left", len(r.Skipped))
	return carryReport(r), nil
}

func carryReport(r transfer.Report) api.CarryReport {
	return api.CarryReport{Made: r.Made, Program: r.Program, Taken: carryItems(r.Taken), Skipped: carryItems(r.Skipped)}
}

func carryItems(items []transfer.Item) []api.CarryItem {
	out := make([]api.CarryItem, len(items))
	for i, it := range items {
		out[i] = api.CarryItem{Kind: it.Kind, Name: it.Name, Note: it.Why}
	}
	return out
}
