package api

import (
	"net/http"
	"reflect"
	"slices"
	"time"
)

// endpoint is one call of the API. What it says of itself is served as a description (openapi.go) and becomes the types of
// the page (typescript.go).
type endpoint struct {
	pattern string
	call    func(svc Service, r *http.Request) (body any, err error)
	about   string       // in a few words
	takes   reflect.Type // of the body; nil = there is none
	gives   reflect.Type // of the answer; nil = there is none
	query   []param
	status  int           // of success; 0 = 200
	reveals bool          // the answer carries a secret that can be seen only here
	limit   int64         // of the body in bytes; 0 = bodyLimit
	time    time.Duration // that it may take; 0 = timeLimit
	open    bool          // the caller needs no token: the call is how one gets it
	// raw, instead of call, writes the answer itself; media is the content type of it.
	raw   func(h *handler, w http.ResponseWriter, r *http.Request)
	media string
}

// param is a parameter in the query. kind is string, integer, boolean or time (RFC 3339).
type param struct{ name, kind, about string }

// of names the type of a body or an answer.
func of[T any]() reflect.Type { return reflect.TypeFor[T]() }

// endpoints is every call, topic by topic; each topic's list stands in its own file.
var endpoints = slices.Concat(
	sessionEndpoints,
	feedEndpoints,
	statusEndpoints,
	accountEndpoints,
	poolEndpoints,
	loginEndpoints,
	fileEndpoints,
	keyEndpoints,
	providerEndpoints,
	recordEndpoints,
	bodyEndpoints,
	routingEndpoints,
	promptEndpoints,
	proxyEndpoints,
	desktopEndpoints,
	vaultEndpoints,
	transferEndpoints,
	updateEndpoints,
	settingsEndpoints,
	programEndpoints,
)

// list wraps rows; a missing list is an empty one.
func list[T any](rows []T, err error) (any, error) {
	if rows == nil {
		rows = []T{}
	}
	return items[T]{rows}, err
}
