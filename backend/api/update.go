package api

import (
	"context"
	"net/http"
	"time"
)

// UpdateService is the part of Service that concerns newer versions of the program.
type UpdateService interface {
	// Update says what is known about newer versions, without asking anybody.
	Update(ctx context.Context) (UpdateView, error)
	// CheckUpdate asks the publisher now, whatever the setting says. What goes wrong is in the answer.
	CheckUpdate(ctx context.Context) (UpdateView, error)
}

// UpdateView is what is known about newer versions.
type UpdateView struct {
	Version   string       `json:"version"`             // that runs
	Enabled   bool         `json:"enabled"`             // the setting updates.check
	Possible  bool         `json:"possible"`            // this build knows a publisher to ask
	Latest    string       `json:"latest,omitempty"`    // the newest release, which may be the one that runs
	Checked   time.Time    `json:"checked,omitzero"`    // when the publisher was asked last
	Problem   string       `json:"problem,omitempty"`   // why that failed
	Available *ReleaseView `json:"available,omitempty"` // a newer version
}

// ReleaseView is a newer version.
type ReleaseView struct {
	Version   string       `json:"version"`
	Published time.Time    `json:"published,omitzero"`
	Notes     string       `json:"notes,omitempty"`    // a page
	Security  bool         `json:"security,omitempty"` // it mends a hole
	Package   *PackageView `json:"package,omitempty"`  // for this installation, if there is one
}

// PackageView is a file to install. Its hash comes from the signed list.
type PackageView struct {
	Kind   string `json:"kind"` // deb, tar.gz, appimage, setup, zip, dmg
	URL    string `json:"url"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

var updateEndpoints = []endpoint{
	{pattern: "GET /api/update", call: getUpdate, gives: of[UpdateView](), about: "What is known about newer versions, without asking anybody"},
	{
		pattern: "POST /api/update/check", call: checkUpdate, gives: of[UpdateView](),
		about: "Asks the publisher now, whatever the setting says",
	},
}

func getUpdate(svc Service, r *http.Request) (any, error) { return svc.Update(r.Context()) }

func checkUpdate(svc Service, r *http.Request) (any, error) { return svc.CheckUpdate(r.Context()) }

// Update implements Service.
func (c *Client) Update(ctx context.Context) (UpdateView, error) {
	return get[UpdateView](ctx, c, "/api/update", nil)
}

// CheckUpdate implements Service.
func (c *Client) CheckUpdate(ctx context.Context) (out UpdateView, err error) {
	err = c.do(ctx, http.MethodPost, "/api/update/check", nil, &out)
	return out, err
}
