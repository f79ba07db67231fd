package api

import (
	"net/http"
	"strconv"

	"patchbay/backend/apierror"
)

var keyEndpoints = []endpoint{
	{pattern: "GET /api/keys", call: listKeys, gives: of[items[KeyView]](), about: "The client keys, revoked ones too"},
	{
		pattern: "POST /api/keys", call: addKey, takes: of[NewKey](), gives: of[CreatedKey](), status: http.StatusCreated, reveals: true,
		about: "Makes a client key, or takes the one that is given (16 characters or more). A made key is shown only here",
	},
	{pattern: "PATCH /api/keys/{id}", call: changeKey, takes: of[KeyChange](), gives: of[KeyView](), about: "Changes what is named of a key"},
	{
		pattern: "DELETE /api/keys/{id}", call: revokeKey, status: http.StatusNoContent,
		query: []param{{"remove", "boolean", "take it out of the list too"}}, about: "Revokes a key and ends what runs for it",
	},
}

func listKeys(svc Service, r *http.Request) (any, error) { return list(svc.Keys(r.Context())) }

func addKey(svc Service, r *http.Request) (any, error) {
	var k NewKey
	if err := decode(r.Body, &k); err != nil {
		return nil, err
	}
	if k.Name == "" {
		return nil, apierror.Invalid("name", "give the key a name, for example that of the app that will use it")
	}
	return svc.AddKey(r.Context(), k)
}

func changeKey(svc Service, r *http.Request) (any, error) {
	var c KeyChange
	if err := decode(r.Body, &c); err != nil {
		return nil, err
	}
	return svc.ChangeKey(r.Context(), r.PathValue("id"), c)
}

func revokeKey(svc Service, r *http.Request) (any, error) {
	if v := r.FormValue("remove"); v != "" {
		remove, err := strconv.ParseBool(v)
		if err != nil {
			return nil, apierror.Invalid("remove", "remove is true or false")
		}
		if remove {
			return nil, svc.RemoveKey(r.Context(), r.PathValue("id"))
		}
	}
	return nil, svc.RevokeKey(r.Context(), r.PathValue("id"))
}
