package api

import (
	"errors"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/secret"
	"patchbay/backend/wire"
)

// revealing writes the text of secrets. It is used for what the client sends and for the answer to a new client key, and
// nowhere else: with any other options a secret is written as "[secret]".
var revealing = json.WithMarshalers(json.MarshalToFunc(func(enc *jsontext.Encoder, v secret.Value) error {
	return enc.WriteToken(jsontext.String(v.Reveal()))
}))

// reading takes secrets as plain strings.
var reading = json.WithUnmarshalers(json.UnmarshalFromFunc(func(dec *jsontext.Decoder, v *secret.Value) error {
	var s string
	if err := json.UnmarshalDecode(dec, &s); err != nil {
		return err
	}
	*v = secret.New(s)
	return nil
}))

// strict refuses members that nobody knows: a mistyped one would be ignored in silence.
var strict = json.JoinOptions(reading, json.RejectUnknownMembers(true))

// decode reads a request's body. The error names the member that is wrong.
func decode(r io.Reader, dst any) error {
	err := json.UnmarshalRead(r, dst, strict)
	if err == nil {
		return nil
	}
	if se, ok := errors.AsType[*json.SemanticError](err); ok {
		e := apierror.Invalid(wire.FieldPath(string(se.JSONPointer)), "the field has a wrong type or is not known")
		e.Err = err
		return e
	}
	e := apierror.Invalid("", "the body is not the JSON object that this call takes")
	e.Err = err
	return e
}

// Failure is the one shape of errors.
type Failure struct {
	Error FailureBody `json:"error"`
}

// FailureBody says what went wrong: the kind, a sentence for people, and the field that is at fault, if one is.
type FailureBody struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`
}

// items wraps lists, so that a list can grow members beside itself.
type items[T any] struct {
	Items []T `json:"items"`
}

// cleared is the body of a call that ends pauses.
type cleared struct {
	Model string `json:"model,omitempty"`
}

// pasted is the body of what a person pasted into a sign-in.
type pasted struct {
	Text secret.Value `json:"text"`
}

// provider is the body of the default provider.
type provider struct {
	Provider string `json:"provider"`
}

var kinds = func() map[string]apierror.Kind {
	out := map[string]apierror.Kind{}
	for _, k := range apierror.Kinds() {
		out[k.String()] = k
	}
	return out
}()
