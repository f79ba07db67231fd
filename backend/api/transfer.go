package api

import (
	"context"
	"net/http"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/secret"
	"patchbay/backend/transfer"
)

// TransferService is the part of Service that takes everything to another computer and back.
type TransferService interface {
	// Export returns the accounts with their logins, client keys and settings as a file that only the passphrase opens.
	Export(ctx context.Context, passphrase secret.Value) (Exported, error)
	// Restore takes in what such a file holds and is not here yet.
	Restore(ctx context.Context, r RestoreRequest) (CarryReport, error)
	// Import takes in what files of other programs hold: accounts, logins, client keys and settings.
	Import(ctx context.Context, q ImportRequest) (ImportReport, error)
}

// restoreLimit is room for the largest export as base64 in JSON.
const restoreLimit = transfer.MaxExport/3*4 + 64<<10

// Exported is an encrypted file with a report of what is in it.
type Exported struct {
	Data   []byte      `json:"data"`
	Report CarryReport `json:"report"`
}

// RestoreRequest is a file to be taken in.
type RestoreRequest struct {
	Passphrase secret.Value `json:"passphrase"`
	Data       []byte       `json:"data"`
	Replace    bool         `json:"replace,omitzero"` // what is here in another form is changed into what the file holds
}

// CarryReport says what was carried and what was left, and why.
type CarryReport struct {
	Made    time.Time   `json:"made,omitzero"`
	Program string      `json:"program,omitempty"` // version that made the file
	Taken   []CarryItem `json:"taken"`
	Skipped []CarryItem `json:"skipped"`
}

// CarryItem is one account, client key or setting.
type CarryItem struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Note string `json:"note,omitempty"` // why it was left, or what to mind
}

type exportRequest struct {
	Passphrase secret.Value `json:"passphrase"`
}

var transferEndpoints = []endpoint{
	{
		pattern: "POST /api/export", call: export, takes: of[exportRequest](), gives: of[Exported](),
		about: "Everything as a file that only the passphrase opens",
	},
	{
		pattern: "POST /api/restore", call: restore, takes: of[RestoreRequest](), gives: of[CarryReport](), limit: restoreLimit,
		about: "Takes in what such a file holds and is not here yet",
	},
	{
		pattern: "POST /api/import", call: takeImport, takes: of[ImportRequest](), gives: of[ImportReport](), limit: importLimit, reveals: true,
		about: "Takes in what files of other programs hold",
	},
}

func export(svc Service, r *http.Request) (any, error) {
	var e exportRequest
	if err := decode(r.Body, &e); err != nil {
		return nil, err
	}
	return svc.Export(r.Context(), e.Passphrase)
}

func restore(svc Service, r *http.Request) (any, error) {
	var q RestoreRequest
	if err := decode(r.Body, &q); err != nil {
		return nil, err
	}
	if len(q.Data) == 0 {
		return nil, apierror.Invalid("data", "the file is empty")
	}
	return svc.Restore(r.Context(), q)
}

// Export implements Service.
func (c *Client) Export(ctx context.Context, passphrase secret.Value) (out Exported, err error) {
	err = c.do(ctx, http.MethodPost, "/api/export", exportRequest{passphrase}, &out)
	return out, err
}

// Restore implements Service.
func (c *Client) Restore(ctx context.Context, r RestoreRequest) (out CarryReport, err error) {
	err = c.do(ctx, http.MethodPost, "/api/restore", r, &out)
	return out, err
}
