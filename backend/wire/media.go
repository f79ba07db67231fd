package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"

	"patchbay/backend/canon"
)

// ParseDataURL reads a data: URL. A missing type is sniffed; white space inside the base64 and its URL-safe form are let
// through.
func ParseDataURL(s string) (mime string, data []byte, err error) {
	rest, ok := strings.CutPrefix(s, "data:")
	if !ok {
		return "", nil, errors.New("not a data: URL")
	}
	head, payload, ok := strings.Cut(rest, ",")
	if !ok {
		return "", nil, errors.New("a data: URL needs a comma before its data")
	}
	params := strings.Split(head, ";")
	mime = strings.ToLower(strings.TrimSpace(params[0]))
	if strings.EqualFold(strings.TrimSpace(params[len(params)-1]), "base64") && len(params) > 1 {
		data, err = DecodeBase64(payload)
	} else {
		var text string
		text, err = url.PathUnescape(payload)
		data = []byte(text)
	}
	if err != nil {
		return "", nil, errors.New("the data: URL holds no valid data")
	}
	if mime == "" {
		mime = SniffImage(data)
	}
	return mime, data, nil
}

// DecodeBase64 reads base64 in any of its usual spellings: with or without padding, standard or URL-safe, with white
// space inside.
func DecodeBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, " \t\r\n") {
		s = strings.Map(func(r rune) rune {
			if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
				return -1
			}
			return r
		}, s)
	}
	s = strings.TrimRight(s, "=")
	if strings.ContainsAny(s, "-_") {
		return base64.RawURLEncoding.DecodeString(s)
	}
	return base64.RawStdEncoding.DecodeString(s)
}

// DataURL writes a data: URL.
func DataURL(mime string, data []byte) string {
	return "data:" + mime + ";base64," + base64.StdEncoding.EncodeToString(data)
}

// SniffImage tells an image's type by its first bytes: png, jpeg, gif, webp; "" for anything else.
func SniffImage(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte("\x89PNG")):
		return "image/png"
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		return "image/jpeg"
	case bytes.HasPrefix(data, []byte("GIF8")):
		return "image/gif"
	case len(data) >= 12 && bytes.HasPrefix(data, []byte("RIFF")) && bytes.Equal(data[8:12], []byte("WEBP")):
		return "image/webp"
	case bytes.HasPrefix(data, []byte("%PDF-")):
		return "application/pdf"
	default:
		return ""
	}
}

// DocumentText is the text of a document that holds nothing else, "" for any other.
func DocumentText(m *canon.Media) string {
	if m.Text == "" && strings.HasPrefix(m.MIME, "text/") && utf8.Valid(m.Data) {
		return string(m.Data)
	}
	return m.Text
}

// MediaURLs lists the media of a conversation that stand there by address only, in their order and once each, without
// those that keep says the upstream takes as they are.
func MediaURLs(req *canon.Request, keep func(*canon.Media) bool) []canon.MediaURL {
	var out []canon.MediaURL
	seen := map[string]bool{}
	add := func(parts []canon.Part) {
		for i := range parts {
			m := parts[i].Media
			if m == nil || len(m.Data) > 0 || m.URL == "" || seen[m.URL] || keep(m) {
				continue
			}
			seen[m.URL] = true
			out = append(out, canon.MediaURL{URL: m.URL, Type: parts[i].Type})
		}
	}
	for i := range req.Messages {
		add(req.Messages[i].Parts)
		for j := range req.Messages[i].Parts {
			add(req.Messages[i].Parts[j].Result)
		}
	}
	return out
}
