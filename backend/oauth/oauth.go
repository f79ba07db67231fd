// Package oauth signs accounts in and keeps their logins good. Logins carries sign-ins out: in the browser with a loopback
// callback or by pasting, or with a device code. Tokens hands out access tokens and renews them, once at a time in this
// process and among all processes that share the database.
//
// It owns no account: what it learned goes to the Book and to LoginNeeds.Save, and what a service does differently is asked
// of its driver through the interfaces of package provider. The functions AuthURL, Exchange and Refresh are plain OAuth 2.0,
// for drivers whose service is so in part.
package oauth

import (
	"strings"
	"unicode"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
)

// clean makes a text of a service fit for a message: one line, printable, of bounded length.
func clean(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "..."
	}
	return s
}

// permanent reports that an error of a login ends it: only a person can go on.
func permanent(err error) bool {
	k := apierror.KindOf(err)
	return k == apierror.AuthExpired || k == apierror.AccountBlocked
}

// same reports whether two credentials hold the same tokens.
func same(a, b provider.Credential) bool { return a.Access == b.Access && a.Refresh == b.Refresh }

// merged returns fresh with what it leaves out taken from old.
func merged(old, fresh provider.Credential) provider.Credential {
	if fresh.Access.Empty() {
		fresh.Access, fresh.Issued, fresh.Expiry = old.Access, old.Issued, old.Expiry
	}
	if fresh.Refresh.Empty() {
		fresh.Refresh = old.Refresh
	}
	if fresh.Secret.Empty() {
		fresh.Secret = old.Secret
	}
	extra := map[string]string{}
	for k, v := range old.Extra {
		extra[k] = v
	}
	for k, v := range fresh.Extra {
		extra[k] = v
	}
	fresh.Extra = extra
	return fresh
}
