package api

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-json-experiment/json"

	"patchbay/backend/apierror"
	"patchbay/backend/secret"
)

var sessionEndpoints = []endpoint{
	{
		pattern: "POST /api/ui/session", raw: beginSession, takes: of[NewSession](), gives: of[SessionView](), status: http.StatusCreated, open: true,
		about: "Trades a ticket, or the password, for the token of a session",
	},
	{
		pattern: "GET /api/ui/session", raw: showSession, gives: of[SessionState](), open: true,
		about: "Whether the caller has a session, and whether a password opens one",
	},
	{pattern: "DELETE /api/ui/session", raw: endSession, status: http.StatusNoContent, about: "Ends the caller's session"},
	{
		pattern: "DELETE /api/ui/sessions", raw: endSessions, status: http.StatusNoContent,
		about: "Ends all sessions, the caller's too",
	},
	{pattern: "POST /api/ui/ticket", raw: makeTicket, gives: of[Ticket](), about: "Makes a link that opens the page once, within a minute"},
	{
		pattern: "PUT /api/ui/password", raw: setPassword, takes: of[NewPassword](), status: http.StatusNoContent,
		about: "Sets the password that opens the page from elsewhere",
	},
	{pattern: "DELETE /api/ui/password", raw: removePassword, status: http.StatusNoContent, about: "Removes it"},
}

// NewSession says by what a session is opened: a ticket, or the password.
type NewSession struct {
	Ticket   secret.Value `json:"ticket,omitzero"`
	Password secret.Value `json:"password,omitzero"`
}

// SessionView is a session that has begun. Its token goes into Authorization: Bearer, and for the feed into the protocol
// "bearer.TOKEN" beside "patchbay.v1".
type SessionView struct {
	Token   secret.Value `json:"token"`
	Expires time.Time    `json:"expires"` // unless it is used
}

// SessionState says how the caller stands.
type SessionState struct {
	SignedIn bool      `json:"signed_in"`
	Expires  time.Time `json:"expires,omitzero"`
	Password bool      `json:"password"` // a password is set
}

// Ticket is a link that opens the page once.
type Ticket struct {
	URL     secret.Value `json:"url"` // it holds the ticket
	Expires time.Time    `json:"expires"`
}

// NewPassword is a password to be set.
type NewPassword struct {
	Password secret.Value `json:"password"`
}

// PageService opens the page and guards it: what the commands ask of a running instance. It is no part of Service,
// because without a running instance there is no page.
type PageService interface {
	// OpenPage makes a link that opens the page once, within a minute.
	OpenPage(ctx context.Context) (Ticket, error)
}

// PasswordService is the part of Service that concerns the password of the page.
type PasswordService interface {
	// SetPagePassword sets the password that opens the page from elsewhere; an empty one removes it.
	SetPagePassword(ctx context.Context, password secret.Value) error
}

// noSessions answers calls about sessions where there are none.
func (h *handler) noSessions(w http.ResponseWriter) bool {
	if h.o.Sessions == nil {
		fail(w, apierror.New(apierror.RouteNotFound, "this instance has no page"))
		return true
	}
	return false
}

func beginSession(h *handler, w http.ResponseWriter, r *http.Request) {
	if h.noSessions(w) {
		return
	}
	var n NewSession
	if err := decode(r.Body, &n); err != nil {
		fail(w, err)
		return
	}
	var v SessionView
	switch {
	case !n.Ticket.Empty():
		s, err := h.o.Sessions.Redeem(r.Context(), n.Ticket)
		if err != nil {
			fail(w, err)
			return
		}
		v = SessionView(s)
	case !n.Password.Empty():
		s, err := h.o.Sessions.Login(r.Context(), n.Password, place(r))
		if err != nil {
			fail(w, err)
			return
		}
		v = SessionView(s)
	default:
		fail(w, apierror.Invalid("ticket", "give a ticket or a password"))
		return
	}
	write(w, http.StatusCreated, v, revealing)
}

// place is where a caller is, for counting wrong guesses: an address, or the network that one customer has.
func place(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

func showSession(h *handler, w http.ResponseWriter, r *http.Request) {
	if h.noSessions(w) {
		return
	}
	st := SessionState{SignedIn: h.admits(r), Password: h.o.Sessions.HasPassword()}
	if until, ok := h.o.Sessions.Check(r.Context(), bearerOf(r)); ok {
		st.Expires = until
	}
	write(w, http.StatusOK, st, json.JoinOptions())
}

func endSession(h *handler, w http.ResponseWriter, r *http.Request) {
	if h.noSessions(w) {
		return
	}
	answer(w, h.o.Sessions.End(r.Context(), bearerOf(r)))
}

func endSessions(h *handler, w http.ResponseWriter, r *http.Request) {
	if h.noSessions(w) {
		return
	}
	answer(w, h.o.Sessions.EndAll(r.Context()))
}

// answer says that it is done, or why not.
func answer(w http.ResponseWriter, err error) {
	if err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func makeTicket(h *handler, w http.ResponseWriter, r *http.Request) {
	if h.noSessions(w) {
		return
	}
	text, until := h.o.Sessions.Ticket()
	base := "http://" + r.Host
	if h.o.Base != nil {
		base = h.o.Base()
	}
	write(w, http.StatusOK, Ticket{URL: PageURL(base, text), Expires: until}, revealing)
}

// PageURL is the link that opens the page with a ticket. The ticket stands behind the #, which browsers send to nobody.
func PageURL(base string, ticket secret.Value) secret.Value {
	return secret.New(base + "/ui/#t=" + ticket.Reveal())
}

func setPassword(h *handler, w http.ResponseWriter, r *http.Request) {
	if h.noSessions(w) {
		return
	}
	var n NewPassword
	err := decode(r.Body, &n)
	if err == nil && n.Password.Empty() {
		err = apierror.Invalid("password", "give a password")
	}
	if err == nil {
		err = h.o.Sessions.SetPassword(r.Context(), n.Password)
	}
	answer(w, err)
}

func removePassword(h *handler, w http.ResponseWriter, r *http.Request) {
	if h.noSessions(w) {
		return
	}
	answer(w, h.o.Sessions.SetPassword(r.Context(), secret.Value{}))
}

// OpenPage implements PageService.
func (c *Client) OpenPage(ctx context.Context) (out Ticket, err error) {
	err = c.do(ctx, http.MethodPost, "/api/ui/ticket", nil, &out)
	return out, err
}

// SetPagePassword implements PasswordService.
func (c *Client) SetPagePassword(ctx context.Context, password secret.Value) error {
	if password.Empty() {
		return c.do(ctx, http.MethodDelete, "/api/ui/password", nil, nil)
	}
	return c.do(ctx, http.MethodPut, "/api/ui/password", NewPassword{password}, nil)
}
