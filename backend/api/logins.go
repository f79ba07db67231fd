package api

import (
	"net/http"
	"strconv"

	"patchbay/backend/apierror"
)

var loginEndpoints = []endpoint{
	{pattern: "GET /api/logins", call: listLogins, gives: of[items[LoginView]](), about: "The sign-ins of the last minutes, latest first"},
	{
		pattern: "POST /api/logins", call: startLogin, takes: of[NewLogin](), gives: of[LoginView](), status: http.StatusCreated,
		about: "Begins a sign-in: a new account of a provider, or an account that signs in again",
	},
	{
		pattern: "GET /api/logins/{id}", call: getLogin, gives: of[LoginView](),
		query: []param{{"seq", "integer", "the state that is known already: the answer comes when it is further, or after twenty seconds"}},
		about: "A sign-in",
	},
	{
		pattern: "POST /api/logins/{id}/paste", call: pasteLogin, takes: of[pasted](), gives: of[LoginView](),
		about: "Gives it the code, code#state, or the address that the browser ended on",
	},
	{pattern: "DELETE /api/logins/{id}", call: cancelLogin, status: http.StatusNoContent, about: "Cancels it"},
}

func listLogins(svc Service, r *http.Request) (any, error) { return list(svc.Logins(r.Context())) }

func startLogin(svc Service, r *http.Request) (any, error) {
	var l NewLogin
	if err := decode(r.Body, &l); err != nil {
		return nil, err
	}
	if l.Provider == "" && l.Account == "" {
		return nil, apierror.Invalid("provider", "name the provider to sign in to, or the account that signs in again")
	}
	switch l.Mode {
	case "", "browser", "paste", "device":
	default:
		return nil, apierror.Invalid("mode", "the mode is browser, paste or device")
	}
	return svc.StartLogin(r.Context(), l)
}

func getLogin(svc Service, r *http.Request) (any, error) {
	seq := -1 // as it is now
	if text := r.URL.Query().Get("seq"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, apierror.Invalid("seq", "seq is the number of the state that is known already")
		}
		seq = n
	}
	return svc.Login(r.Context(), r.PathValue("id"), seq)
}

func pasteLogin(svc Service, r *http.Request) (any, error) {
	var p pasted
	if err := decode(r.Body, &p); err != nil {
		return nil, err
	}
	return svc.PasteLogin(r.Context(), r.PathValue("id"), p.Text)
}

func cancelLogin(svc Service, r *http.Request) (any, error) {
	return nil, svc.CancelLogin(r.Context(), r.PathValue("id"))
}
