package simulator

// kiroScenarios are what only Kiro does; other upstreams answer as if they were
// not there, or with the nearest they have.
var kiroScenarios = []scenarioInfo{
	{"aws_error", "An error in AWS's form (Kiro).", "status=403,reason=TEMPORARILY_SUSPENDED,message=Suspended", func(p *plan, _ *turn, a arguments) {
		out := obj("message", a.text("message", "Improperly formed request."))
		if reason := a.text("reason", ""); reason != "" {
			out = out.with("reason", reason)
		} else {
			out = out.with("reason", nil)
		}
		if kind := a.text("type", ""); kind != "" {
			out = append(obj("__type", kind), out...)
		}
		p.d.raw = &rawAnswer{a.number("status", 400), "application/json", string(encode(out))}
	}},
	{"aws_exception", "An exception inside an answer that began with 200 (Kiro; elsewhere as error_chunk).", "type=ThrottlingException,after=1", func(p *plan, _ *turn, a arguments) {
		p.d.errorAt = a.number("after", -1)
		p.d.errorWith = &failure{kind: failServer, code: a.text("type", "ThrottlingException"), param: a.text("reason", ""),
			message: a.text("message", "Too many requests, please wait before trying again.")}
	}},
	{"frames", "Frames that are damaged: unknown, half, prelude, crc, giant, error (Kiro).", "kind=crc", func(p *plan, _ *turn, a arguments) {
		p.reply.oddity = a.text("kind", "crc")
	}},
	{"printed_call", "The model prints a call as text instead of calling (Kiro).", "form=xml", func(p *plan, t *turn, a arguments) {
		if len(t.results) > 0 {
			p.say(quote(t))
			return
		}
		tl := toolFor(t, a)
		text := "Let me look. [Called " + tl.name + " with args: " + fill(tl, 0) + "]"
		if a.text("form", "") == "xml" {
			text = "Let me look. <function_calls><invoke name=\"" + tl.name + "\"><parameter name=\"command\">ls</parameter></invoke></function_calls>"
		}
		p.say(text)
	}},
}
