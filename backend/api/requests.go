package api

import (
	"net/http"
	"strconv"
	"time"

	"patchbay/backend/apierror"
)

var requestEndpoints = []endpoint{
	{
		pattern: "GET /api/requests", call: listRequests, gives: of[items[RequestView]](), about: "Rows of the request log, latest first",
		query: append([]param{
			{"provider", "string", ""}, {"account", "string", "its id"}, {"model", "string", ""}, {"key", "string", "its id"},
			{"kind", "string", "of the error"}, {"failed", "boolean", ""}, {"before", "string", "id of a row: older ones only"},
			{"limit", "integer", "1 to 1000, 100 if not given"},
		}, spanParams...),
	},
	{pattern: "GET /api/usage", call: getUsage, gives: of[UsageView](), query: spanParams, about: "What was used, added up"},
}

// spanParams are the parameters that span reads.
var spanParams = []param{{"since", "time", ""}, {"until", "time", ""}}

func listRequests(svc Service, r *http.Request) (any, error) {
	q := RequestQuery{
		Provider: r.FormValue("provider"), Account: r.FormValue("account"), Model: r.FormValue("model"),
		Key: r.FormValue("key"), Kind: r.FormValue("kind"), Before: r.FormValue("before"),
	}
	var err error
	if q.Since, q.Until, err = span(r); err != nil {
		return nil, err
	}
	if v := r.FormValue("failed"); v != "" {
		if q.Failed, err = strconv.ParseBool(v); err != nil {
			return nil, apierror.Invalid("failed", "failed is true or false")
		}
	}
	if v := r.FormValue("limit"); v != "" {
		if q.Limit, err = strconv.Atoi(v); err != nil || q.Limit < 1 || q.Limit > MaxRequests {
			return nil, apierror.Invalid("limit", "limit is a number from 1 to %d", MaxRequests)
		}
	}
	return list(svc.Requests(r.Context(), q))
}

func getUsage(svc Service, r *http.Request) (any, error) {
	since, until, err := span(r)
	if err != nil {
		return nil, err
	}
	u, err := svc.Usage(r.Context(), UsageQuery{since, until})
	if u.Rows == nil {
		u.Rows = []UsageRow{}
	}
	return u, err
}

// span reads since and until.
func span(r *http.Request) (since, until time.Time, err error) {
	for name, dst := range map[string]*time.Time{"since": &since, "until": &until} {
		v := r.FormValue(name)
		if v == "" {
			continue
		}
		if *dst, err = time.Parse(time.RFC3339, v); err != nil {
			return since, until, apierror.Invalid(name, "%s is a time like 2026-11-22T14:00:00Z", name)
		}
	}
	return since, until, nil
}
