package wire

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// Lenient are the options for JSON that comes from outside: what the vendors let through, repeated names and invalid
// UTF-8, is let through.
var Lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// ReadBody parses a client's body as one JSON object. The error is InvalidRequest.
func ReadBody(body []byte) (canon.Object, error) {
	if len(body) == 0 {
		return canon.Object{}, apierror.Invalid("", "the request has no body; send a JSON object")
	}
	o, err := canon.ParseObject(body)
	if err != nil {
		e := apierror.Invalid("", "%s", clientJSONError(err))
		e.Err = err
		return o, e
	}
	return o, nil
}

// clientJSONError says what is wrong with a body in words that quote nothing long.
func clientJSONError(err error) string {
	if errors.Is(err, canon.ErrNotObject) {
		return canon.ErrNotObject.Error()
	}
	if se, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		msg := "invalid JSON"
		if se.JSONPointer != "" {
			msg += " at " + FieldPath(string(se.JSONPointer))
		}
		if se.Err != nil {
			msg += ": " + se.Err.Error()
		}
		return msg
	}
	return err.Error()
}

// ReadMember reads one member of a client's body into dst. null and an absent member leave dst alone. The error is
// InvalidRequest and names the field with its path below name.
func ReadMember(o canon.Object, name string, dst any) error {
	v := o.Get(name)
	if len(v) == 0 || v.Kind() == 'n' {
		return nil
	}
	return ReadValue(v, name, dst)
}

// ReadValue reads v into dst. The error is InvalidRequest with the path of the offending field, which starts with name.
func ReadValue(v jsontext.Value, name string, dst any) error {
	err := json.Unmarshal(v, dst, Lenient)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*apierror.Error](err); ok {
		return e
	}
	path, kind := name, ""
	if se, ok := errors.AsType[*json.SemanticError](err); ok {
		if sub := FieldPath(string(se.JSONPointer)); sub != "" {
			if strings.HasPrefix(sub, "[") || name == "" {
				path += sub
			} else {
				path += "." + sub
			}
		}
		kind = se.JSONKind.String()
	}
	e := apierror.Invalid(path, "%s has the wrong type or value", path)
	if kind != "" {
		e.Msg = path + " cannot be " + kindWord(kind)
	}
	e.Err = err
	return e
}

func kindWord(kind string) string {
	switch kind {
	case "string", "number", "object", "array":
		if kind == "object" || kind == "array" {
			return "an " + kind
		}
		return "a " + kind
	case "{":
		return "an object"
	case "[":
		return "an array"
	case "true", "false":
		return "a boolean"
	default:
		return kind
	}
}

// FieldPath turns a JSON pointer into the dotted form people write: "/messages/2/content" is "messages[2].content".
func FieldPath(pointer string) string {
	var b strings.Builder
	for tok := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		tok = strings.ReplaceAll(strings.ReplaceAll(tok, "~1", "/"), "~0", "~")
		switch {
		case tok == "":
		case strings.Trim(tok, "0123456789") == "":
			b.WriteString("[" + tok + "]")
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(tok)
		}
	}
	return b.String()
}

// AppendString appends s as a JSON string without escaping HTML. Invalid UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error only says that invalid UTF-8 was replaced
	return dst
}

// Compact returns v on one line: frames of an event stream must not hold line ends.
func Compact(v jsontext.Value) jsontext.Value {
	c := v.Clone()
	if c.Compact(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) != nil {
		return v
	}
	return c
}

// Marshal writes v for the wire: members in the order of the struct, no HTML escapes, invalid UTF-8 replaced.
func Marshal(v any) ([]byte, error) {
	return json.Marshal(v, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true), json.Deterministic(true))
}

// AppendSSE appends one event of a stream. name may be empty. data must be on one line.
func AppendSSE(dst []byte, name string, data []byte) []byte {
	if name != "" {
		dst = append(append(append(dst, "event: "...), name...), '\n')
	}
	return append(append(append(dst, "data: "...), data...), "\n\n"...)
}
