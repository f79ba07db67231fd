package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"patchbay/backend/secret"
)

// FileService is the part of Service that concerns logins in the files of vendors' own programs.
type FileService interface {
	// Files looks for logins now, and says what is to be said of each file.
	Files(ctx context.Context) ([]FileView, error)
	// BorrowFile makes an account that follows a file.
	BorrowFile(ctx context.Context, id string, u FileUse) (AccountView, error)
	// AdoptFile makes the login of a file, or of the account that follows it, Patchbay's own. Without Accept it is refused
	// with what that means.
	AdoptFile(ctx context.Context, id string, u FileUse) (AccountView, error)
	// ReleaseFile forgets the account that follows a file and leaves the file as it is.
	ReleaseFile(ctx context.Context, id string) (AccountView, error)
}

// FileView is a file of another program that may hold a login. It holds no secret.
type FileView struct {
	ID        string    `json:"id"`
	Provider  string    `json:"provider"`
	Enabled   bool      `json:"enabled"`        // the provider is turned on
	Status    string    `json:"status"`         // of the provider: active, licensed, experimental, discontinued
	Risk      *RiskView `json:"risk,omitempty"` // of the provider: shown first
	Instead   string    `json:"instead,omitempty"`
	Path      string    `json:"path"`
	Program   string    `json:"program,omitempty"` // whose file it is
	State     string    `json:"state"`             // found, borrowed, signed_in, changed, empty, unreadable, gone, declined
	Note      string    `json:"note,omitempty"`    // what is wrong, or good to know
	Identity  string    `json:"identity,omitempty"`
	Email     string    `json:"email,omitempty"`
	Plan      string    `json:"plan,omitempty"`
	Expires   time.Time `json:"expires,omitzero"`
	Over      bool      `json:"over,omitempty"`      // the present token has ended; its program renews it when it is used
	Adoptable bool      `json:"adoptable,omitempty"` // the login can be made Patchbay's own
	Adoption  string    `json:"adoption,omitempty"`  // what that means
	Modified  time.Time `json:"modified,omitzero"`
	Account   string    `json:"account,omitempty"` // that follows it, or is the same person's
	Label     string    `json:"label,omitempty"`
}

// FileUse says how a file's login is to be used.
type FileUse struct {
	Name  string       `json:"name,omitempty"` // of a new account
	Proxy secret.Value `json:"proxy,omitzero"` // of a new account; what the service is asked goes through it too
	// AcceptRisk says that the person has read the provider's label and wants it all the same. It turns the provider on.
	AcceptRisk bool `json:"accept_risk,omitempty"`
	Accept     bool `json:"accept,omitempty"` // the person knows what an adoption means
}

var fileEndpoints = []endpoint{
	{
		pattern: "GET /api/credential-files", call: listFiles, gives: of[items[FileView]](),
		about: "Looks for logins that other programs keep in files",
	},
	{
		pattern: "POST /api/credential-files/{id}/borrow", call: borrowFile, takes: of[FileUse](), gives: of[AccountView](),
		status: http.StatusCreated, about: "An account follows the file from now on",
	},
	{
		pattern: "POST /api/credential-files/{id}/adopt", call: adoptFile, takes: of[FileUse](), gives: of[AccountView](),
		status: http.StatusCreated, about: "The login is Patchbay's own from now on",
	},
	{
		pattern: "POST /api/credential-files/{id}/release", call: releaseFile, gives: of[AccountView](),
		about: "Forgets the account that follows the file",
	},
}

func listFiles(svc Service, r *http.Request) (any, error) { return list(svc.Files(r.Context())) }

func borrowFile(svc Service, r *http.Request) (any, error) { return useFile(r, svc.BorrowFile) }

func adoptFile(svc Service, r *http.Request) (any, error) { return useFile(r, svc.AdoptFile) }

func useFile(r *http.Request, do func(context.Context, string, FileUse) (AccountView, error)) (any, error) {
	var u FileUse
	if err := decode(r.Body, &u); err != nil {
		return nil, err
	}
	return do(r.Context(), r.PathValue("id"), u)
}

func releaseFile(svc Service, r *http.Request) (any, error) {
	return svc.ReleaseFile(r.Context(), r.PathValue("id"))
}

// Files implements Service.
func (c *Client) Files(ctx context.Context) ([]FileView, error) {
	out, err := get[items[FileView]](ctx, c, "/api/credential-files", nil)
	return out.Items, err
}

// BorrowFile implements Service.
func (c *Client) BorrowFile(ctx context.Context, id string, u FileUse) (AccountView, error) {
	return c.useFile(ctx, id, "borrow", u)
}

// AdoptFile implements Service.
func (c *Client) AdoptFile(ctx context.Context, id string, u FileUse) (AccountView, error) {
	return c.useFile(ctx, id, "adopt", u)
}

// ReleaseFile implements Service.
func (c *Client) ReleaseFile(ctx context.Context, id string) (AccountView, error) {
	return c.useFile(ctx, id, "release", nil)
}

func (c *Client) useFile(ctx context.Context, id, verb string, in any) (out AccountView, err error) {
	err = c.do(ctx, http.MethodPost, "/api/credential-files/"+url.PathEscape(id)+"/"+verb, in, &out)
	return out, err
}
