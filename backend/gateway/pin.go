package gateway

import (
	"strings"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/route"
	"patchbay/backend/trace"
)

// pin finds the one account that the request or its client key asks for, if any, and lets it choose the provider where
// nothing else does.
func (c *Call) pin(q *route.Query) error {
	wish, param := c.caller.Account, "X-Patchbay-Account"
	if l := c.caller.Limits; l != nil && l.Account != "" {
		if wish != "" {
			if id, _, err := c.g.accounts.Find(wish); err != nil || id != l.Account {
				return apierror.New(apierror.ClientForbidden, "the client key %q may use one account only; leave out the header X-Patchbay-Account", c.caller.KeyName)
			}
		}
		wish, param = l.Account, ""
	}
	if wish == "" {
		return nil
	}
	id, provider, err := c.g.accounts.Find(wish)
	if err != nil {
		e := *apierror.From(err)
		e.Param = param
		if param == "" {
			e.Kind, e.Msg = apierror.ClientForbidden, "the account that the client key \""+c.caller.KeyName+"\" may use is gone; give the key another one"
		}
		return &e
	}
	c.pinned, c.pinnedTo = id, provider
	if q.HeaderProvider == "" {
		q.HeaderProvider = provider
	}
	return nil
}

// keepPinned leaves of a plan what the pinned account can serve.
func (c *Call) keepPinned(plan *route.Plan) error {
	if c.pinned == "" || len(plan.Candidates) == 0 {
		return nil
	}
	first := plan.Candidates[0].Provider
	plan.Keep(func(cand *route.Candidate) (string, string) {
		if cand.Provider == c.pinnedTo {
			return "", ""
		}
		return trace.KindPinned, "the request asks for an account of " + c.pinnedTo
	})
	if len(plan.Candidates) == 0 {
		return apierror.Invalid("X-Patchbay-Account", "the account belongs to %s, and the request goes to %s: ask for a model of %[1]s, or for another account", c.pinnedTo, first)
	}
	return nil
}

// wanted says which accounts of a candidate may serve.
func (c *Call) wanted(cand *route.Candidate, told map[string]struct{}, wait time.Duration) account.Query {
	q := account.Query{
		Provider: cand.Provider, Model: cand.Model, Conversation: c.req.Conversation, Guessed: c.req.ConversationGuessed, Account: c.pinned, Skip: told, Wait: wait,
	}
	for _, tag := range c.caller.Tags {
		q.Tags = append(q.Tags, strings.ToLower(tag))
	}
	if l := c.caller.Limits; l != nil {
		q.Tags = append(q.Tags, l.Tags...)
	}
	return q
}
