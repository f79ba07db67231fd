package simulator

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// page checks what Google's sign-in page needs from this client before it is shown.
func (d *assist) page(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	asked := strings.Fields(q.Get("scope"))
	why := ""
	for _, s := range d.rules.scopes {
		if !slices.Contains(asked, "https://www.googleapis.com/auth/"+s) {
			why = "Missing scope: " + s
		}
	}
	if q.Get("access_type") != "offline" || q.Get("prompt") != "consent" {
		why = "Without access_type=offline and prompt=consent there is no refresh token."
	}
	if why != "" {
		oauthPage{Title: "This sign-in cannot work", Text: why}.write(w, http.StatusBadRequest)
		return
	}
	d.shared.oauth.Authorize(w, r)
}

// verify is the page on which a person verifies the account.
func (d *assist) verify(w http.ResponseWriter, r *http.Request) {
	d.shared.mu.Lock()
	d.shared.verified[r.URL.Query().Get("who")] = true
	d.shared.mu.Unlock()
	oauthPage{Title: "Verified", Text: "This account is verified."}.write(w, http.StatusOK)
}

// meta checks the metadata of a set-up call.
func (d *assist) meta(x *exchange, o map[string]any) bool {
	ide, _ := object(o["metadata"])["ideType"].(string)
	if d.rules.ide != "" && ide != d.rules.ide {
		x.refuse(invalid("* metadata.ide_type: " + d.rules.ide + " is expected"))
		return false
	}
	return true
}

func tierOf(id, name string, own bool) ordered {
	return obj("id", id, "name", name, "description", "A simulated tier.", "userDefinedCloudaicompanionProject", own)
}

func (d *assist) load(x *exchange) {
	o := d.message(x, "LoadRequest")
	if o == nil || !d.meta(x, o) || x.blocked(&turn{}) {
		return
	}
	own, _ := o["cloudaicompanionProject"].(string)
	standard := tierOf("standard-tier", "Gemini Code Assist Standard", true)
	free := tierOf("free-tier", "Antigravity", false)
	first := standard
	if d.rules.antigravity {
		first = free
	}
	offer := []ordered{first.with("isDefault", true)}
	d.head(x.w.Header(), nil)
	none := func(code, text string, more ...any) {
		t := obj("reasonCode", code, "reasonMessage", text, "tierId", "free-tier", "tierName", "Gemini Code Assist for individuals")
		writeJSON(x.w, http.StatusOK, obj("ineligibleTiers", []ordered{append(t, obj(more...)...)}))
	}
	switch d.state(x) {
	case AssistEnded:
		none("UNSUPPORTED_CLIENT", "This client is no longer supported for Gemini Code Assist for individuals. "+
			"To continue using Gemini, please migrate to the Antigravity suite of products: https://antigravity.google")
	case AssistVerify:
		none("VALIDATION_REQUIRED", "Verify your account to continue.", "validationErrorMessage", "Verify your account to continue.",
			"validationUrl", "http://"+x.r.Host+"/"+d.host+"/verify?who="+x.person, "validationUrlLinkText", "Verify your account")
	case AssistRegion:
		none("UNSUPPORTED_LOCATION", "Your current account is not eligible because it is not currently available in your location.")
	case AssistNew, AssistStuck, AssistNone:
		writeJSON(x.w, http.StatusOK, obj("allowedTiers", []ordered{free.with("isDefault", true)}))
	case AssistProject:
		out := obj("currentTier", standard, "allowedTiers", offer)
		if own != "" {
			out = out.with("cloudaicompanionProject", own)
		}
		writeJSON(x.w, http.StatusOK, out)
	case AssistPerimter:
		x.refuse(&failure{kind: failForbidden, message: "Request is prohibited by organization's policy.", details: []any{
			obj("@type", "type.googleapis.com/google.rpc.ErrorInfo", "reason", "SECURITY_POLICY_VIOLATED", "domain", "googleapis.com")}})
	case AssistOdd:
		writeJSON(x.w, http.StatusOK, obj("currentTier", "standard-tier", "paidTier", nil, "allowedTiers", []string{"standard-tier"}, "ineligibleTiers", nil,
			"cloudaicompanionProject", obj("id", assistProject), "gcpManaged", false, "manageSubscriptionUri", "https://example.test/"))
	default:
		out := obj("currentTier", first, "allowedTiers", offer, "cloudaicompanionProject", assistProject)
		if d.rules.antigravity {
			out = out.with("paidTier", obj("id", "g1-pro-tier", "name", "Google AI Pro", "availableCredits",
				[]ordered{obj("creditType", "GOOGLE_ONE_AI", "creditAmount", "1000", "minimumCreditAmountForUsage", "50")}))
		}
		writeJSON(x.w, http.StatusOK, out)
	}
}

func (d *assist) onboard(x *exchange) {
	o := d.message(x, "OnboardRequest")
	if o == nil || !d.meta(x, o) || x.blocked(&turn{}) {
		return
	}
	tier, _ := o["tierId"].(string)
	if !slices.Contains([]string{"free-tier", "standard-tier", "legacy-tier"}, tier) {
		x.refuse(invalid("* tier_id: unknown tier " + strconv.Quote(tier)))
		return
	}
	if tier == "free-tier" && o["cloudaicompanionProject"] != nil {
		x.refuse(&failure{kind: failInvalid, code: "FAILED_PRECONDITION", message: "Precondition check failed."})
		return
	}
	if d.rules.antigravity && !strings.Contains(x.r.UserAgent(), "google-api-nodejs-client/") {
		x.refuse(invalid("The simulated service expects the client library in the User-Agent of this call."))
		return
	}
	d.operation(x, person(x))
}

// assistLooks is how often an operation is looked at before it is done.
const assistLooks = 3

func (d *assist) operation(x *exchange, who string) {
	st := d.shared
	state := d.state(x)
	st.mu.Lock()
	st.looks[who]++
	n := st.looks[who]
	if n >= assistLooks && state == AssistNew {
		st.people[who] = AssistReady
	}
	st.mu.Unlock()
	out := obj("name", "operations/onboard-"+strings.TrimSuffix(who, "@example.test"))
	d.head(x.w.Header(), nil)
	switch {
	case n < assistLooks || state == AssistStuck:
		writeJSON(x.w, http.StatusOK, out.with("done", false))
	case state == AssistNone:
		writeJSON(x.w, http.StatusOK, out.with("done", true).with("response", ordered{}))
	default:
		writeJSON(x.w, http.StatusOK, out.with("done", true).with("response", obj("cloudaicompanionProject", obj("id", assistProject, "name", assistProject))))
	}
}
