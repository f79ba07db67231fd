package wire

import "net/http"

// ClassByRequest is the class of an endpoint that serves several operations: the codec is a Router and tells which one
// a request means.
const ClassByRequest = ClassUnsupported + 1

// A Router is a Codec with an endpoint whose path names the operation in a way that a pattern cannot tell apart:
// Gemini's POST /v1beta/models/{model}:{method}. The server asks it for routes of ClassByRequest. An operation that the
// format does not have is ClassUnsupported.
type Router interface {
	Route(r *http.Request) (Op, Class)
}
