package oauth

import (
	"net/url"
	"strings"

	"patchbay/backend/apierror"
)

// pasteLimit bounds what a person can paste: the longest codes have some hundred characters.
const pasteLimit = 16 << 10

// readPaste reads what a person pasted: the address that the browser ended on (also one that no program opens, or its query
// alone), "code#state", or the bare code. The query that it returns holds a code or an error.
func readPaste(text string) (q url.Values, path string, err error) {
	text = strings.Trim(strings.TrimSpace(text), "\"'<>`")
	switch {
	case text == "":
		return nil, "", apierror.Invalid("text", "nothing was pasted: copy the code, or the whole address of the page that the browser ended on")
	case len(text) > pasteLimit:
		return nil, "", apierror.Invalid("text", "this is too long for a code or an address")
	}
	text = strings.Map(func(r rune) rune { // addresses that were copied from a terminal have line breaks
		if r == '\n' || r == '\r' || r == '\t' {
			return -1
		}
		return r
	}, text)
	switch {
	case strings.Contains(text, "://"):
		u, err := url.Parse(text)
		if err != nil {
			return nil, "", apierror.Invalid("text", "this is no whole address: copy it from the browser's address bar from its beginning to its end")
		}
		q, path = queryOf(u), u.Path
	case strings.Contains(text, "code=") || strings.Contains(text, "error="):
		_, rest, found := strings.Cut(text, "?")
		if !found {
			rest = text
		}
		q, _ = url.ParseQuery(strings.TrimLeft(rest, "?&#")) // the parameters that can be read are enough
	default:
		return bare(text)
	}
	if q.Get("code") == "" && q.Get("error") == "" {
		if q.Get("client_id") != "" || q.Get("code_challenge") != "" {
			return nil, "", apierror.Invalid("text", "this is the address of the sign-in page itself: open it, sign in, and paste the address that the browser ends on")
		}
		return nil, "", apierror.Invalid("text", "there is no code in this address: sign in first, then copy the address that the browser ends on")
	}
	return q, path, nil
}

// queryOf returns the parameters of an address, those of its fragment too: some pages put them there.
func queryOf(u *url.URL) url.Values {
	q := u.Query()
	more, _ := url.ParseQuery(u.Fragment) // a fragment that holds no parameters gives none
	for k, v := range more {
		if !q.Has(k) {
			q[k] = v
		}
	}
	return q
}

// bare reads a code, with its state behind a # if the page showed it so.
func bare(text string) (url.Values, string, error) {
	code, state, _ := strings.Cut(text, "#")
	if strings.Contains(code, "%") {
		if c, err := url.QueryUnescape(code); err == nil {
			code = c
		}
	}
	if code == "" || strings.ContainsAny(code, " ") {
		return nil, "", apierror.Invalid("text", "this does not look like a code: paste the code alone, or the whole address of the page that the browser ended on")
	}
	q := url.Values{"code": {code}}
	if state != "" {
		q.Set("state", state)
	}
	return q, "", nil
}
