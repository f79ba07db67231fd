package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"patchbay/backend/apierror"
)

// DesktopService is how Patchbay is steered as a program of the desktop: by the tray, by a second start and by the page.
type DesktopService interface {
	// Pause refuses new requests until Resume: apps get an error. What runs goes on.
	Pause(ctx context.Context) (Status, error)
	Resume(ctx context.Context) (Status, error)
	// Quit ends the program: streams get a moment, then their protocol's error event.
	Quit(ctx context.Context) error

	// Desktop says what there is of a desktop here.
	Desktop(ctx context.Context) (DesktopView, error)
	// ShowWindow opens the window, or brings it to the front, at a place of the page ("#/accounts"; "" = where it is).
	ShowWindow(ctx context.Context, page string) error
	// OpenLink opens an address of the web in the person's browser: the window itself shows nothing but Patchbay.
	OpenLink(ctx context.Context, address string) error
	// SetStartAtLogin has the system start Patchbay when the person logs in. The answer is what the system says then.
	SetStartAtLogin(ctx context.Context, on bool) (DesktopView, error)
}

// DesktopView is what there is of a desktop.
type DesktopView struct {
	Desktop      bool      `json:"desktop"`          // false for patchbay serve
	Tray         string    `json:"tray,omitempty"`   // registered, none, or starting
	Window       string    `json:"window,omitempty"` // window or browser: where the page opens
	StartAtLogin LoginItem `json:"start_at_login,omitzero"`
}

// LoginItem is what the system does when the person logs in.
type LoginItem struct {
	State string `json:"state"`          // off, on, stale (it would start something else), blocked (by the system's own settings), unknown
	Path  string `json:"path,omitempty"` // what would be started
	Note  string `json:"note,omitempty"` // why it is unknown
}

// ShownPage says which place of the page the window is to show.
type ShownPage struct {
	Page string `json:"page,omitempty"` // "#/accounts"
}

// OpenedLink is an address for the browser.
type OpenedLink struct {
	URL string `json:"url"`
}

// Switch is something to be switched on or off.
type Switch struct {
	On bool `json:"on"`
}

var desktopEndpoints = []endpoint{
	{pattern: "POST /api/pause", call: pause, gives: of[Status](), about: "Refuses new requests until resume: apps get an error"},
	{pattern: "POST /api/resume", call: resume, gives: of[Status](), about: "Answers requests again"},
	{pattern: "POST /api/quit", call: quit, status: http.StatusNoContent, about: "Ends Patchbay; streams get a moment"},
	{pattern: "GET /api/desktop", call: getDesktop, gives: of[DesktopView](), about: "Tray, window and start at login, as the system says"},
	{
		pattern: "PUT /api/desktop/start-at-login", call: setStartAtLogin, takes: of[Switch](), gives: of[DesktopView](),
		about: "Has the system start Patchbay at login, or not; the answer is what the system says then",
	},
	{
		pattern: "POST /api/ui/show", call: showWindow, takes: of[ShownPage](), status: http.StatusNoContent,
		about: "Brings the window to the front, at a place of the page",
	},
	{
		pattern: "POST /api/ui/open", call: openLink, takes: of[OpenedLink](), status: http.StatusNoContent,
		about: "Opens an address in the person's browser: the window shows nothing but the page",
	},
}

func pause(svc Service, r *http.Request) (any, error)  { return svc.Pause(r.Context()) }
func resume(svc Service, r *http.Request) (any, error) { return svc.Resume(r.Context()) }
func quit(svc Service, r *http.Request) (any, error)   { return nil, svc.Quit(r.Context()) }

func getDesktop(svc Service, r *http.Request) (any, error) { return svc.Desktop(r.Context()) }

func showWindow(svc Service, r *http.Request) (any, error) {
	var p ShownPage
	if err := decode(r.Body, &p); err != nil {
		return nil, err
	}
	if p.Page != "" && !strings.HasPrefix(p.Page, "#/") || strings.ContainsAny(p.Page, "\r\n") {
		return nil, apierror.Invalid("page", "a place of the page begins with #/, for example #/accounts")
	}
	return nil, svc.ShowWindow(r.Context(), p.Page)
}

func openLink(svc Service, r *http.Request) (any, error) {
	var l OpenedLink
	if err := decode(r.Body, &l); err != nil {
		return nil, err
	}
	u, err := url.Parse(l.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, apierror.Invalid("url", "only addresses of the web are opened: they begin with https:// or http://")
	}
	return nil, svc.OpenLink(r.Context(), u.String())
}

func setStartAtLogin(svc Service, r *http.Request) (any, error) {
	var s Switch
	if err := decode(r.Body, &s); err != nil {
		return nil, err
	}
	return svc.SetStartAtLogin(r.Context(), s.On)
}

// Pause implements Service.
func (c *Client) Pause(ctx context.Context) (out Status, err error) {
	err = c.do(ctx, http.MethodPost, "/api/pause", nil, &out)
	return out, err
}

// Resume implements Service.
func (c *Client) Resume(ctx context.Context) (out Status, err error) {
	err = c.do(ctx, http.MethodPost, "/api/resume", nil, &out)
	return out, err
}

// Quit implements Service.
func (c *Client) Quit(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/api/quit", nil, nil)
}

// Desktop implements Service.
func (c *Client) Desktop(ctx context.Context) (DesktopView, error) {
	return get[DesktopView](ctx, c, "/api/desktop", nil)
}

// ShowWindow implements Service.
func (c *Client) ShowWindow(ctx context.Context, page string) error {
	return c.do(ctx, http.MethodPost, "/api/ui/show", ShownPage{page}, nil)
}

// OpenLink implements Service.
func (c *Client) OpenLink(ctx context.Context, address string) error {
	return c.do(ctx, http.MethodPost, "/api/ui/open", OpenedLink{address}, nil)
}

// SetStartAtLogin implements Service.
func (c *Client) SetStartAtLogin(ctx context.Context, on bool) (out DesktopView, err error) {
	err = c.do(ctx, http.MethodPut, "/api/desktop/start-at-login", Switch{on}, &out)
	return out, err
}
