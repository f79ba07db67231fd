package kiro

import (
	"net/http"
	"strings"

	"patchbay/backend/provider"
	"patchbay/backend/transport"
)

// route is one way to the service: a host, the profile that is named there, and the form of the body.
type route struct {
	name  string // kept with the account once it has worked
	host  string
	arn   string
	cli   bool // in the words of the command-line program
	formB bool
}

// routes are the ways of an account, in the order in which they are tried. The profile of another customer is never sent, and
// an organisation's account never gets that of Builder ID.
func (u *upstream) routes(l login) []route {
	region := l.apiRegion(u.env.Settings[settingRegion])
	way := func(name, host, arn string, newer bool) route {
		r := route{name: name, host: in(host, region), arn: arn, formB: newer}
		switch u.env.Settings[settingWire] {
		case "A":
			r.formB = false
		case "B":
			r.formB = true
		}
		return r
	}
	h := u.hosts
	switch l.kind {
	case kindBuilder:
		arn := l.arn
		if arn == "" {
			arn = builderARN
		}
		return []route{way("runtime+service", h.runtime, arn, true), way("q+service", h.q, arn, false), way("q", h.q, "", false), way("codewhisperer", h.cw, "", false)}
	case kindKey:
		a, b := way("runtime", h.runtime, "", true), way("q", h.q, "", false)
		a.cli, b.cli = true, true
		return []route{a, b}
	case kindIDC, kindExternal:
		return []route{way("runtime+own", h.runtime, l.arn, true), way("q+own", h.q, l.arn, false)}
	default:
		return []route{way("runtime+own", h.runtime, l.arn, true), way("q+own", h.q, l.arn, false), way("codewhisperer+own", h.cw, l.arn, false)}
	}
}

// ladder is routes with the one first that worked last.
func (u *upstream) ladder(l login) []route {
	list := u.routes(l)
	if u.env.Note == nil {
		return list
	}
	last := u.env.Note(noteRoute)
	for i, r := range list {
		if r.name == last {
			return append([]route{r}, append(append([]route{}, list[:i]...), list[i+1:]...)...)
		}
	}
	return list
}

func (u *upstream) remember(note, value string) {
	if u.env.Remember != nil && (u.env.Note == nil || u.env.Note(note) != value) {
		u.env.Remember(note, value)
	}
}

// inference prepares a call of GenerateAssistantResponse. The headers follow one program as a whole: mixing the habits of
// several versions is worse than an old version.
func (u *upstream) inference(c provider.Credential, l login, r route, invocation string) transport.Call {
	call := u.call(c, l, r.host+"/generateAssistantResponse")
	h := call.Header
	if r.cli {
		call.URL = r.host + "/"
		h.Set("Content-Type", typeJSON10)
		h.Set("Accept", "*/*")
		h.Set("X-Amz-Target", targetGenerate)
		h.Set("User-Agent", strings.ReplaceAll(cliAgent, "{os}", osName()))
		h.Set("X-Amz-User-Agent", strings.ReplaceAll(cliShort, "{os}", osName()))
	} else {
		h.Set("Content-Type", typeREST)
		h.Set("Accept", typeEvents)
		h.Set("X-Amzn-Kiro-Agent-Mode", "vibe")
		u.ideAgent(h, "codewhispererstreaming", streamSDK, "m/E", r.formB)
		if r.arn != "" {
			h.Set("X-Amzn-Kiro-Profile-Arn", r.arn)
		}
	}
	h.Set("X-Amzn-Codewhisperer-Optout", "true")
	h.Set("Amz-Sdk-Invocation-Id", invocation)
	h.Set("Amz-Sdk-Request", "attempt=1; max=3")
	h.Set("Accept-Encoding", "identity") // frames are read as they come
	return call
}

// ideAgent names Kiro's IDE, which the service demands of these accounts.
func (u *upstream) ideAgent(h http.Header, api, sdk, mark string, formB bool) {
	version := versionA
	if formB {
		version = versionB
	}
	if own := u.env.Settings[settingVersion]; own != "" {
		version = own
	}
	program := "KiroIDE-" + version + "-" + machineID(u.env)
	h.Set("X-Amz-User-Agent", "aws-sdk-js/"+sdk+" "+program)
	h.Set("User-Agent", "aws-sdk-js/"+sdk+" ua/2.1 os/"+osMark()+" lang/js md/nodejs#"+nodeMark+" api/"+api+"#"+sdk+" "+mark+" "+program)
}

// control prepares a call of the control plane.
func (u *upstream) control(c provider.Credential, l login, url string) transport.Call {
	call := u.call(c, l, url)
	call.Header.Set("Accept", typeREST)
	u.ideAgent(call.Header, "codewhispererruntime", controlSDK, "m/N,E", true)
	call.Header.Set("Amz-Sdk-Invocation-Id", uuid())
	call.Header.Set("Amz-Sdk-Request", "attempt=1; max=1")
	return call
}

// call prepares a call with the account's token.
func (u *upstream) call(c provider.Credential, l login, url string) transport.Call {
	token := c.Access.Reveal()
	call := transport.Call{URL: url, Header: http.Header{}, Idle: u.idle, Provider: u.env.Provider, Account: u.env.AccountID,
		Secrets: []string{token, c.Refresh.Reveal(), c.Secret.Reveal()}}
	transport.SetAuth(call.Header, "Authorization", "Bearer ", token)
	if t := l.tokenType(); t != "" {
		call.Header.Set("Tokentype", t)
	}
	if l.idp == "Internal" {
		call.Header.Set("Redirect-For-Internal", "true")
	}
	call.Secrets = append(call.Secrets, transport.SetStatic(call.Header, u.env.Settings, provider.SettingHeaderPrefix)...)
	return call
}
