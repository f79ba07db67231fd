package simulator

import (
	"net/http"
	"slices"
	"strings"
)

// control serves the control plane in the three forms that clients use: paths
// with hyphens and AWS-JSON on the management host, the older paths on q.
func (d *kiro) control(mux *http.ServeMux) {
	at := func(pattern, queue string, serve func(*exchange, *kiroCaller)) {
		mux.HandleFunc(pattern, d.s.endpoint(d, Kiro+"/"+queue, func(x *exchange) {
			if who := d.caller(x); who != nil && !x.blocked(&turn{}) {
				serve(x, who)
			}
		}))
	}
	at("GET /management/List-Available-Models", "models", d.listModels)
	at("GET /management/Get-Usage-Limits", "usage", d.usageLimits)
	at("POST /management/List-Available-Profiles", "profiles", d.listProfiles)
	at("GET /q/ListAvailableModels", "models", d.listModels)
	at("GET /q/getUsageLimits", "usage", d.usageLimits)
	at("POST /q/ListAvailableProfiles", "profiles", d.listProfiles)
	targets := map[string]func(*exchange, *kiroCaller){
		"ListAvailableModels": d.listModels, "GetUsageLimits": d.usageLimits, "ListAvailableProfiles": d.listProfiles,
	}
	mux.HandleFunc("POST /management/{$}", d.s.endpoint(d, Kiro+"/control", func(x *exchange) {
		name, ok := strings.CutPrefix(x.r.Header.Get("X-Amz-Target"), "AmazonCodeWhispererService.")
		serve := targets[name]
		if !ok || serve == nil || x.r.Header.Get("Content-Type") != "application/x-amz-json-1.0" {
			x.refuse(&failure{kind: failInvalid, code: "UnknownOperationException", message: "Unknown operation"})
			return
		}
		if _, _, ok := d.auth.who(keyOf(x.r.Header)); !ok && !strings.HasPrefix(keyOf(x.r.Header), "ksk_sim-") {
			x.refuse(&failure{kind: failInvalid, code: "AccessDeniedException", message: kiroBadToken}) // here it is a 400
			return
		}
		if who := d.caller(x); who != nil && !x.blocked(&turn{}) {
			serve(x, who)
		}
	}))
}

// queryARN is the profile of a call of the control plane.
func queryARN(x *exchange) string {
	if v, err := decode(x.body); err == nil {
		if s, ok := object(v)["profileArn"].(string); ok {
			return s
		}
	}
	return x.r.URL.Query().Get("profileArn")
}

// listModels answers in pages of four.
func (d *kiro) listModels(x *exchange, who *kiroCaller) {
	if f := d.profile("runtime", who, queryARN(x)); f != nil {
		x.refuse(f)
		return
	}
	const page = 4
	start := 0
	if x.r.URL.Query().Get("nextToken") == "page-2" {
		start = page
	}
	list := d.models[min(start, len(d.models)):]
	next := any(nil)
	if start == 0 && len(list) > page {
		list, next = list[:page], "page-2"
	}
	out := []any{}
	for _, m := range list {
		schema := any(nil)
		if len(m.efforts) > 0 {
			schema = obj("type", "object", "additionalProperties", false, "properties", obj(
				"thinking", obj("type", "object", "properties", obj("type", obj("type", "string", "enum", []string{"adaptive", "disabled"}))),
				"output_config", obj("type", "object", "properties", obj("effort", obj("type", "string", "enum", m.efforts, "default", "high"))),
				"max_tokens", obj("type", "integer", "minimum", 1024, "maximum", 128000)))
		}
		out = append(out, obj("modelId", m.id, "modelName", m.id, "description", "A simulated model.", "rateMultiplier", m.credits, "rateUnit", "Credit",
			"supportedInputTypes", []string{"TEXT", "IMAGE"}, "tokenLimits", obj("maxInputTokens", m.window, "maxOutputTokens", nil),
			"additionalModelRequestFieldsSchema", schema))
	}
	writeJSON(x.w, http.StatusOK, obj("defaultModel", obj("modelId", "auto"), "models", out, "nextToken", next))
}

// usageLimits tells of a plan of 1000 with a third used and a trial that has
// ended.
func (d *kiro) usageLimits(x *exchange, who *kiroCaller) {
	if who.kind == kiroKey {
		x.refuse(&failure{kind: failForbidden, message: "API keys cannot read usage.", param: "FEATURE_NOT_SUPPORTED"})
		return
	}
	reset := float64(d.s.opts.Now().AddDate(0, 1, 0).Unix())
	used := 312.47
	if slices.Contains([]string{"exhausted@example.test"}, who.user.Email) {
		used = 1000
	}
	writeJSON(x.w, http.StatusOK, obj("daysUntilReset", 9, "nextDateReset", reset, "limits", []any{},
		"usageBreakdownList", []any{obj("resourceType", "CREDIT", "displayName", "Credit", "displayNamePlural", "Credits", "unit", "INVOCATIONS",
			"currentUsage", int(used), "currentUsageWithPrecision", used, "usageLimit", 1000, "usageLimitWithPrecision", 1000.0, "nextDateReset", reset,
			"freeTrialInfo", obj("freeTrialStatus", "EXPIRED", "usageLimit", 500, "currentUsage", 500), "bonuses", []any{})},
		"subscriptionInfo", obj("subscriptionTitle", "KIRO PRO", "type", "Q_DEVELOPER_STANDALONE_PRO"),
		"overageConfiguration", obj("overageStatus", "DISABLED"),
		"userInfo", obj("userId", "d-1234567890."+who.user.ID, "email", who.user.Email)))
}

// listProfiles knows an organisation's people only, and answers with two
// profiles to who is called Bob.
func (d *kiro) listProfiles(x *exchange, who *kiroCaller) {
	switch who.kind {
	case kiroBuilder:
		x.refuse(&failure{kind: failForbidden, message: "AWS Builder ID is not supported for this operation.", param: "FEATURE_NOT_SUPPORTED"})
		return
	case kiroTeam:
	default:
		x.refuse(&failure{kind: failForbidden, message: kiroNotAdmit})
		return
	}
	out := []any{}
	if who.user.ID != "u-none" {
		out = append(out, obj("arn", kiroTeamARN, "profileName", "Team A"))
	}
	if who.user.ID == "u-bob" {
		out = append(out, obj("arn", kiroOtherARN, "profileName", "Team B"))
	}
	writeJSON(x.w, http.StatusOK, obj("profiles", out, "nextToken", nil))
}
