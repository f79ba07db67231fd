package openai

import (
	"net/http"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire/oai"
)

// What Chat shares with Responses is in package oai; these are its short names here.

type cursor = oai.Cursor

func walkObject(b []byte) cursor          { return oai.WalkObject(b) }
func walkArray(b []byte) cursor           { return oai.WalkArray(b) }
func text(v []byte) string                { return oai.Text(v) }
func isNull(v []byte) bool                { return oai.IsNull(v) }
func number(v []byte) int64               { return oai.Number(v) }
func member(b []byte, name string) []byte { return oai.Member(b, name) }
func valid(v []byte) bool                 { return oai.Valid(v) }

// ParseError reads an error answer of an upstream. The message of the result is safe to show.
func ParseError(status int, header http.Header, body []byte) *apierror.Error {
	return oai.ParseError(status, header, body)
}

// Error renders e as an error body with its status.
func (Codec) Error(e *apierror.Error, requestID string) (int, http.Header, []byte) {
	return oai.Error(e, requestID)
}

// AppendModels renders the model list.
func (Codec) AppendModels(dst []byte, _ *http.Request, models []canon.Model) ([]byte, error) {
	return oai.AppendModels(dst, models), nil
}

// AppendModel renders one entry of the model list.
func (Codec) AppendModel(dst []byte, _ *http.Request, m canon.Model) ([]byte, error) {
	return oai.AppendModel(dst, m), nil
}

// ParseModels reads a model list in any of the shapes that services of this format send.
func ParseModels(body []byte) ([]canon.Model, error) { return oai.ParseModels(body) }

// KnownModel returns what is known of one of OpenAI's models by the beginning of its name.
func KnownModel(id string) canon.Model { return oai.KnownModel(id) }
