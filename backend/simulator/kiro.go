package simulator

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// kiro is Amazon's coding assistant: inference in binary frames, a control
// plane, and two sign-in services. The hosts are paths below the upstream's
// name: runtime, q, codewhisperer, management, auth, portal, oidc. Facts:
// codewhisperer-streaming-client 1.0.45, KiroCrew (2026-10), and captures and
// issues of 2026.
//
// An API key begins with `ksk_sim-`; it may name a scenario as `sk-sim-` keys
// do. Other tokens are those that the sign-in services gave out.
type kiro struct {
	s      *Server
	models []kiroModel
	auth   *kiroAuth

	era string // guarded by the server's mutex; see KiroEra
}

type kiroModel struct {
	id      string
	window  int
	efforts []string // of output_config.effort; nil: no additional fields
	credits float64
}

// kiroModels: ids with dots, as the list of 2026-07-28 had them.
var kiroModels = []kiroModel{
	{"auto", 1_000_000, nil, 1},
	{"claude-sonnet-4.5", 200_000, nil, 1.3},
	{"claude-haiku-4.5", 200_000, nil, 0.4},
	{"claude-sonnet-4.6", 1_000_000, []string{"low", "medium", "high", "max"}, 1.3},
	{"claude-opus-5", 1_000_000, []string{"low", "medium", "high", "xhigh", "max"}, 2.2},
	{"qwen3-coder-next", 256_000, nil, 0.05},
}

// Profile ARNs: that of the service for Builder ID accounts, and what the
// simulated people have.
const (
	kiroServiceARN = "arn:aws:codewhisperer:us-east-1:638616132270:profile/AAAACCCCXXXX"
	kiroSocialARN  = "arn:aws:codewhisperer:us-east-1:111122223333:profile/SIMSOCIAL001"
	kiroTeamARN    = "arn:aws:codewhisperer:eu-central-1:111122223333:profile/SIMTEAM00001"
	kiroOtherARN   = "arn:aws:codewhisperer:eu-central-1:111122223333:profile/SIMTEAM00002"
)

// The kinds of account.
const (
	kiroSocial  = "social"
	kiroBuilder = "builder-id"
	kiroTeam    = "idc"
	kiroKey     = "api-key"
)

func newKiro(s *Server) http.Handler {
	d := &kiro{s: s, models: slices.Clone(kiroModels)}
	for _, id := range s.opts.Models {
		d.models = append(d.models, kiroModel{id, 200_000, nil, 1})
	}
	d.auth = newKiroAuth(s)
	s.kiro = d
	s.forget = append(s.forget, func() { d.era = "" })
	mux := http.NewServeMux()
	for _, host := range []string{"runtime", "q", "codewhisperer"} {
		mux.HandleFunc("POST /"+host+"/generateAssistantResponse", s.endpoint(d, Kiro, func(x *exchange) { d.generate(x, host, false) }))
		mux.HandleFunc("POST /"+host+"/{$}", s.endpoint(d, Kiro, func(x *exchange) { d.generate(x, host, true) }))
	}
	d.control(mux)
	d.auth.mount(mux)
	mux.HandleFunc("/", s.endpoint(d, Kiro+"/unknown", func(x *exchange) {
		x.refuse(&failure{kind: failNotFound, status: http.StatusNotFound, code: "UnknownOperationException", message: "Unknown operation"})
	}))
	return mux
}

// KiroEra sets how the hosts of Kiro treat profile ARNs: "2026-05" as they did
// before the change of that summer, "" as they do since.
func (s *Server) KiroEra(era string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kiro.era = era
}

func (d *kiro) id() string { return Kiro }

func (d *kiro) head(h http.Header, _ *plan) {
	h.Set("X-Amzn-Requestid", "sim-"+strconv.Itoa(d.s.next()))
}

func (d *kiro) find(name string) (kiroModel, bool) {
	base, _, _ := strings.Cut(name, "@")
	if i := slices.IndexFunc(d.models, func(m kiroModel) bool { return m.id == base }); i >= 0 {
		return d.models[i], true
	}
	return kiroModel{id: name, window: 200_000}, strings.HasPrefix(name, "sim-")
}

// kiroCaller is who asks.
type kiroCaller struct {
	kind string
	user OAuthUser
	arn  string // what must be named, "" = nothing
}

const kiroBadToken = "The bearer token included in the request is invalid."

// caller reads the credential; nil means that it was refused.
func (d *kiro) caller(x *exchange) *kiroCaller {
	token := keyOf(x.r.Header)
	kind := x.r.Header.Get("Tokentype")
	if rest, ok := strings.CutPrefix(token, "ksk_sim-"); ok {
		x.key = "sk-sim-" + rest
		if kind != "API_KEY" { // it is read as a sign-in's token then
			x.refuse(&failure{kind: failInvalid, message: "profileArn is required for this request."})
			return nil
		}
		return &kiroCaller{kind: kiroKey, user: OAuthUser{ID: "key", Email: "key@example.test"}}
	}
	if user, account, ok := d.auth.who(token); ok {
		return &kiroCaller{kind: account, user: user, arn: map[string]string{kiroSocial: kiroSocialARN, kiroBuilder: kiroServiceARN, kiroTeam: kiroTeamARN}[account]}
	}
	x.refuse(&failure{kind: failForbidden, message: kiroBadToken})
	return nil
}

var (
	kiroVersion  = regexp.MustCompile(`KiroIDE-(\d+)\.(\d+)\.(\d+)-([0-9a-f]{64})$`)
	kiroUUID     = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	kiroNotAdmit = "User is not authorized to make this call."
)

// headers checks what goes with a call of inference.
func (d *kiro) headers(x *exchange, who *kiroCaller, target bool) *failure {
	h := x.r.Header
	kind := "application/json"
	if target {
		kind = "application/x-amz-json-1.0"
		if h.Get("X-Amz-Target") != "AmazonCodeWhispererStreamingService.GenerateAssistantResponse" {
			return &failure{kind: failInvalid, code: "UnknownOperationException", message: "Unknown operation"}
		}
	}
	if h.Get("Content-Type") != kind {
		return &failure{kind: failInvalid, message: "Improperly formed request."}
	}
	if !kiroUUID.MatchString(h.Get("Amz-Sdk-Invocation-Id")) {
		return &failure{kind: failInvalid, message: "amz-sdk-invocation-id must be a UUID"}
	}
	if target {
		return nil
	}
	if h.Get("X-Amzn-Kiro-Agent-Mode") != "vibe" {
		return &failure{kind: failInvalid, message: "Improperly formed request."}
	}
	m := kiroVersion.FindStringSubmatch(h.Get("User-Agent"))
	if m == nil {
		return &failure{kind: failForbidden, message: kiroNotAdmit}
	}
	major, _ := strconv.Atoi(m[1]) // digits
	minor, _ := strconv.Atoi(m[2]) // digits
	if major == 0 && minor < 12 {
		return &failure{kind: failForbidden, message: kiroNotAdmit}
	}
	return nil
}

// profile checks the profile that is named, which differs by kind of account,
// host and year.
func (d *kiro) profile(host string, who *kiroCaller, arn string) *failure {
	d.s.mu.Lock()
	old := d.era == "2026-05"
	d.s.mu.Unlock()
	required := &failure{kind: failInvalid, message: "profileArn is required for this request."}
	foreign := &failure{kind: failForbidden, message: kiroNotAdmit}
	switch who.kind {
	case kiroKey:
		if arn != "" {
			return &failure{kind: failInvalid, message: "Invalid profileArn"}
		}
		return nil
	case kiroBuilder:
		switch {
		case old && host == "runtime" && arn == "":
			return required
		case old && host == "codewhisperer" && arn == "", old && host == "q" && arn == "":
			return nil
		case old:
			return foreign
		case arn == "" && host == "runtime":
			return required
		case arn == "":
			return &failure{kind: failInvalid, message: "Invalid profileArn"}
		}
	default:
		if arn == "" {
			return required
		}
	}
	if arn != who.arn && !(who.kind == kiroTeam && arn == kiroOtherARN) {
		return foreign
	}
	return nil
}

// generate answers GenerateAssistantResponse.
func (d *kiro) generate(x *exchange, host string, target bool) {
	who := d.caller(x)
	if who == nil {
		return
	}
	if f := d.headers(x, who, target); f != nil {
		x.refuse(f)
		return
	}
	v, err := decode(x.body)
	o, ok := v.(map[string]any)
	if err != nil || !ok {
		x.refuse(&failure{kind: failInvalid, code: "REQUEST_BODY_INVALID_JSON", message: "Improperly formed request."})
		return
	}
	arn, _ := o["profileArn"].(string)
	if f := d.profile(host, who, arn); f != nil {
		x.refuse(f)
		return
	}
	c := &kiroCheck{d: d, t: &turn{stream: true, n: 1, parallel: true}, target: target}
	c.read(o)
	if f := c.f; f != nil {
		if len(f.details) > 0 { // the service tells nothing, the record does
			why, _ := f.details[0].(string)
			x.s.update(func() { x.rec.Refused = why })
			x.fail(f)
			return
		}
		x.refuse(f)
		return
	}
	c.t.tokens = (len(x.body)+3)/4 + 1
	x.answer(c.t, func(p *plan) {
		p.d.style = styleBinary
		p.reply.id = x.serial("")[16:]
		for i := range p.reply.parts {
			if p.reply.parts[i].kind == callPart {
				p.reply.parts[i].id = "tooluse_" + x.serial("")[12:]
			}
		}
	})
}

// kiroError is a kind of failure in the service's words.
type kiroError struct {
	status             int
	name, text, reason string
}

// kiroErrors: texts that were observed in issues, and for the rest plain ones.
var kiroErrors = map[string]kiroError{
	failInvalid:      {400, "ValidationException", "Improperly formed request.", ""},
	failSignature:    {400, "ValidationException", "The thinking signature is invalid.", "THINKING_SIGNATURE_INVALID"},
	failTooLong:      {400, "ValidationException", "Input is too long.", "CONTENT_LENGTH_EXCEEDS_THRESHOLD"},
	failNotFound:     {400, "ValidationException", "Invalid model. Please select a different model.", "INVALID_MODEL_ID"},
	failUnauthorized: {403, "AccessDeniedException", kiroBadToken, ""},
	failForbidden:    {403, "AccessDeniedException", "Your User ID (11112222-3333) temporarily is suspended.", "TEMPORARILY_SUSPENDED"},
	failLocation:     {403, "AccessDeniedException", "Your subscription does not support this application", ""},
	failBilling:      {402, "ServiceQuotaExceededException", "Monthly limit reached.", "MONTHLY_REQUEST_COUNT"},
	failQuota:        {402, "ServiceQuotaExceededException", "Monthly limit reached.", "MONTHLY_REQUEST_COUNT"},
	failRate:         {429, "ThrottlingException", "Too many requests, please wait before trying again.", ""},
	failOverload:     {429, "ThrottlingException", "I am experiencing high traffic, please try again shortly.", "INSUFFICIENT_MODEL_CAPACITY"},
	failServer:       {500, "InternalServerException", "An internal error occurred.", ""},
	failTimeout:      {504, "ServiceUnavailableException", "The request took too long.", ""},
	failTooLarge:     {413, "ValidationException", "Request body is too large.", ""},
}

// reasonOf is the reason, null for none.
func (e kiroError) reasonOf(f *failure) any {
	if f.kind == failSignature {
		return e.reason
	}
	if f.message != "" && f.param == "" {
		return nil // a text of its own has no reason unless one is named
	}
	if f.param != "" {
		return f.param
	}
	if e.reason == "" {
		return nil
	}
	return e.reason
}

func (d *kiro) refuse(f *failure) (int, http.Header, any) {
	e := kiroErrors[f.kind]
	text := f.message
	if text == "" {
		text = e.text
	}
	if f.status != 0 {
		e.status = f.status
	}
	head := http.Header{}
	name := e.name
	if strings.HasSuffix(f.code, "Exception") {
		name = f.code
	}
	head.Set("X-Amzn-Errortype", name+":http://internal.amazon.com/coral/com.amazon.coral.service/")
	if f.retryAfter != "" {
		head.Set("Retry-After", f.retryAfter)
	}
	return e.status, head, obj("message", text, "reason", e.reasonOf(f))
}
