package api

import (
	"context"
	"net/http"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/secret"
	"patchbay/backend/transfer"
)

// importLimit is room for the largest import as base64 in JSON.
const importLimit = transfer.MaxImport/3*4 + 4<<20

// ImportRequest are files of other programs to be taken in.
type ImportRequest struct {
	Files []ImportFile `json:"files,omitzero"`
	// Keys are API keys that a person keeps elsewhere, for example in variables of the environment.
	Keys []ImportKey `json:"keys,omitzero"`
	// DryRun only reports what would be done.
	DryRun bool `json:"dry_run,omitzero"`
	// Moved says that the other programs use these logins no more: one that is renewed in use works in one program only.
	Moved bool `json:"moved,omitzero"`
	// AcceptRisk says that the labels of the providers were read.
	AcceptRisk bool `json:"accept_risk,omitzero"`
}

// ImportFile is one file: a login, settings, or a zip of such files.
type ImportFile struct {
	Name     string    `json:"name"` // with the folders above it, as far as other files refer to it by them
	Data     []byte    `json:"data,omitzero"`
	Modified time.Time `json:"modified,omitzero"` // when it was written
	Problem  string    `json:"problem,omitempty"` // why there is no data
}

// ImportKey is an API key with the provider or preset that it is for.
type ImportKey struct {
	Provider string       `json:"provider"`
	From     string       `json:"from"` // where it was, for the report
	Key      secret.Value `json:"key"`
}

// ImportReport says what became of everything that was found.
type ImportReport struct {
	DryRun bool         `json:"dry_run,omitzero"`
	Items  []ImportItem `json:"items"`
	// NewKey is a client key that was made in place of one that is too easy to guess. It can be seen here only.
	NewKey secret.Value `json:"new_key,omitzero"`
	// Unmoved is how many logins were left only because Moved was not said, and Unread how many because AcceptRisk was not.
	Unmoved int `json:"unmoved,omitzero"`
	Unread  int `json:"unread,omitzero"`
}

// ImportItem is one thing that was found.
type ImportItem struct {
	Outcome string `json:"outcome"` // taken, updated or skipped
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	From    string `json:"from,omitempty"` // the file
	Note    string `json:"note,omitempty"` // why it was skipped, or what to mind
}

func takeImport(svc Service, r *http.Request) (any, error) {
	var q ImportRequest
	if err := decode(r.Body, &q); err != nil {
		return nil, err
	}
	if len(q.Files)+len(q.Keys) == 0 {
		return nil, apierror.Invalid("files", "there is no file to import")
	}
	return svc.Import(r.Context(), q)
}

// Import implements Service.
func (c *Client) Import(ctx context.Context, q ImportRequest) (out ImportReport, err error) {
	err = c.do(ctx, http.MethodPost, "/api/import", q, &out)
	return out, err
}
