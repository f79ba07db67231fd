package wire

import "patchbay/backend/canon"

const tokensPerImage = 1500

// EstimateTokens guesses the tokens of a prompt where the upstream has no counter: a quarter of the bytes of text, four
// per message, a quarter of the bytes of schemas, 1500 per image. It is never 0 for a prompt that holds anything.
func EstimateTokens(req *canon.Request) int64 {
	var n int64
	for i := range req.System {
		n += partTokens(&req.System[i])
	}
	for i := range req.Messages {
		n += 4
		for j := range req.Messages[i].Parts {
			n += partTokens(&req.Messages[i].Parts[j])
		}
	}
	for i := range req.Tools {
		t := &req.Tools[i]
		n += quarter(len(t.Name) + len(t.Description))
		if len(t.Schema) > 0 {
			n += quarter(len(t.Schema))
		} else {
			n += quarter(len(t.Raw))
		}
	}
	n += quarter(len(req.Output.Schema))
	return max(n, 1)
}

// EstimateOutput guesses the tokens of an answer, by the same rule.
func EstimateOutput(parts []canon.Part) int64 {
	var n int64
	for i := range parts {
		n += partTokens(&parts[i])
	}
	return n
}

func partTokens(p *canon.Part) int64 {
	n := quarter(len(p.Text)) + quarter(len(p.Args)) + quarter(len(p.Server))
	for _, s := range p.Summary {
		n += quarter(len(s))
	}
	if p.Type == canon.PartToolCall {
		n += quarter(len(p.Name))
	}
	if m := p.Media; m != nil {
		switch {
		case p.Type == canon.PartDocument && m.Text != "":
			n += quarter(len(m.Text))
		default:
			n += tokensPerImage
		}
	}
	for i := range p.Result {
		n += partTokens(&p.Result[i])
	}
	return n
}

// quarter is bytes/4, rounded up.
func quarter(n int) int64 { return int64(n+3) / 4 }
